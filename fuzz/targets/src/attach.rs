//! Packets between a monitor and its clients.

use hull_monitor::attach::{FromClient, FromMonitor};

/// A packet that is understood is written as it came; any other is no packet.
pub fn attach(bytes: &[u8]) {
    if let Some(packet) = FromClient::parse(bytes) {
        assert_eq!(packet.to_packet(), bytes);
    }
    if let Some(packet) = FromMonitor::parse(bytes) {
        assert_eq!(packet.to_packet(), bytes);
    }
}
