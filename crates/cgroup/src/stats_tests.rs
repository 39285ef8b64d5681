use super::*;

#[test]
fn io_is_read_from_either_version() {
    let expected = [
        IoStats {
            major: 8,
            minor: 0,
            read_bytes: 4096,
            write_bytes: 512,
            read_operations: 1,
            write_operations: 2,
        },
        IoStats {
            major: 8,
            minor: 16,
            read_bytes: 7,
            ..IoStats::default()
        },
    ];
    let v2 = "8:0 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=7 wbytes=0 rios=0 wios=0\n253:0 \n";
    assert_eq!(v2_io(v2)[..2], expected);
    let bytes = "8:0 Read 4096\n8:0 Write 512\n8:0 Total 4608\n8:16 Read 7\nTotal 4615\n";
    let operations = "8:0 Read 1\n8:0 Write 2\n8:16 Read 0\nTotal 3\n";
    assert_eq!(v1_io(bytes, operations), expected);
}

#[test]
fn cpu_time_is_read_with_and_without_the_controller() {
    let bare = v2_cpu("usage_usec 30\nuser_usec 20\nsystem_usec 10\nnice_usec 0\n");
    assert_eq!(
        bare,
        CpuStats {
            used: 30,
            user: 20,
            system: 10,
            ..CpuStats::default()
        }
    );
    let full = v2_cpu("usage_usec 1\nnr_periods 4\nnr_throttled 3\nthrottled_usec 99\n");
    assert_eq!(
        (full.periods, full.throttled_periods, full.throttled),
        (4, 3, 99)
    );
}
