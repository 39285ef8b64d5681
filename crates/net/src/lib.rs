//! interfaces, addresses, nftables, port maps.
