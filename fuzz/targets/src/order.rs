//! What a monitor is told, and what it reports.

use hull_monitor::{Handover, Report};

/// An order that is understood is written so that it is understood again, to the letter.
pub fn order(bytes: &[u8]) {
    if let Ok(order) = serde_json::from_slice::<Handover>(bytes) {
        let text = serde_json::to_string(&order).expect("an order can be written");
        let again: Handover =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{text}`: {error}"));
        let twice = serde_json::to_string(&again).expect("an order can be written");
        assert_eq!(twice, text);
    }
    if let Ok(report) = serde_json::from_slice::<Report>(bytes) {
        let text = serde_json::to_string(&report).expect("a report can be written");
        serde_json::from_str::<Report>(&text).unwrap_or_else(|error| panic!("`{text}`: {error}"));
    }
}
