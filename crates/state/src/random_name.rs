//! Names for containers that nobody named: an adjective and a vessel.

use hull_types::ContainerName;

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "bold", "brave", "bright", "brisk", "calm", "candid", "clear",
    "clever", "copper", "coral", "crisp", "daring", "deft", "eager", "early", "exact", "fair",
    "fleet", "fond", "frank", "gentle", "glad", "golden", "grand", "hardy", "honest", "humble",
    "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow", "merry", "mild",
    "neat", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet", "rapid", "ready",
    "sharp", "silver", "sleek", "smart", "snug", "sober", "solid", "spry", "steady", "sturdy",
    "swift", "tidy", "trusty", "witty",
];
const VESSELS: [&str; 64] = [
    "ark",
    "barge",
    "bark",
    "barque",
    "brig",
    "canoe",
    "caravel",
    "carrack",
    "catamaran",
    "clipper",
    "coaster",
    "cog",
    "collier",
    "coracle",
    "corvette",
    "cruiser",
    "currach",
    "cutter",
    "dhow",
    "dinghy",
    "dory",
    "dragger",
    "drifter",
    "felucca",
    "ferry",
    "flyboat",
    "frigate",
    "galleon",
    "galley",
    "gig",
    "hoy",
    "hulk",
    "icebreaker",
    "jolly",
    "junk",
    "kayak",
    "keelboat",
    "ketch",
    "knarr",
    "launch",
    "lighter",
    "longboat",
    "lugger",
    "packet",
    "pilot",
    "pinnace",
    "pontoon",
    "proa",
    "punt",
    "raft",
    "sampan",
    "schooner",
    "scow",
    "shallop",
    "skiff",
    "sloop",
    "smack",
    "steamer",
    "tartane",
    "tender",
    "trawler",
    "tug",
    "wherry",
    "yawl",
];

/// Returns a name made from random bits; 4,096 plain names, and ever more digits once those are taken.
pub fn random_name(bits: u64, attempt: u32) -> ContainerName {
    let pick = |words: &[&'static str; 64], shift: u32| {
        words[usize::try_from(bits >> shift & 63).unwrap_or_default()]
    };
    let mut name = format!("{}_{}", pick(&ADJECTIVES, 0), pick(&VESSELS, 6));
    if attempt > 2 {
        name.push_str(&format!("{}", (bits >> 12) % 10u64.pow(attempt.min(12))));
    }
    name.parse().expect("words and digits make a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_pattern_makes_a_name() {
        for bits in (0..4096).chain([u64::MAX]) {
            assert!(random_name(bits, 0).as_str().contains('_'));
            assert!(random_name(bits, 99).as_str().len() <= ContainerName::MAX);
        }
    }
}
