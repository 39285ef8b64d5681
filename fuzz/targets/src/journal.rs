//! The journal of a pod, torn wherever a crash likes.

use hull_state::Journal;

/// Every beginning of a journal is a journal or none yet; more lines never change what the first one said.
pub fn journal(bytes: &[u8]) {
    let Ok(whole) = Journal::parse(bytes) else {
        return;
    };
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(whole.is_none() || lines > 0);
    // A few tears are enough: the fuzzer moves them.
    for part in [1, 2, 3] {
        let torn = &bytes[..bytes.len() * part / 4];
        let before = Journal::parse(torn).expect("the first line is whole or not there");
        if let (Some(before), Some(whole)) = (&before, &whole) {
            assert_eq!(before.record.id, whole.record.id);
            assert_eq!(before.lives.len(), whole.lives.len());
            assert!(
                before
                    .starts
                    .iter()
                    .zip(&whole.starts)
                    .all(|(before, after)| before <= after)
            );
        }
    }
    if let Some(journal) = whole {
        assert_eq!(journal.lives.len(), journal.record.containers.len());
        assert_eq!(journal.starts.len(), journal.record.containers.len());
    }
}
