//! Fetching blobs: no byte more, no byte less.

use std::io::Read as _;
use std::time::Duration;

use hull_registry::{Credentials, RegistryError};
use hull_spec::image::{Compression, Descriptor, Family, MediaType};

use crate::server::{Answer, Server};
use crate::{client, reference, sha256, told};

const BYTES: &[u8] = b"0123456789";

fn descriptor(size: u64) -> Descriptor {
    let media_type = MediaType::Layer(Family::Oci, Compression::Gzip);
    Descriptor::new(media_type, sha256(BYTES), size)
}

fn read(answer: Answer, size: u64) -> Result<Vec<u8>, String> {
    let server = Server::new(move |_| answer.clone());
    let name = reference(&format!("{}/a/b", server.host));
    let anonymous = |text: String| text.replace(&server.host, "HOST");
    let blob = client(Credentials::none()).blob(&name, &descriptor(size));
    let mut blob = blob.map_err(|error| anonymous(told(&error)))?;
    assert_eq!(blob.size(), size);
    let mut bytes = Vec::new();
    match blob.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(anonymous(told(RegistryError::in_io(&error).unwrap()))),
    }
}

#[test]
fn blobs_have_the_size_they_were_said_to_have() {
    let unstated = |body: &[u8]| Answer {
        unstated: true,
        ..Answer::new(200, body)
    };
    let chunked = |body: &str| {
        let answer = Answer::new(200, body).header("Transfer-Encoding", "chunked");
        Answer {
            unstated: true,
            ..answer
        }
    };
    assert_eq!(read(Answer::new(200, BYTES), 10).unwrap(), BYTES);
    assert_eq!(read(unstated(BYTES), 10).unwrap(), BYTES);
    assert_eq!(
        read(chunked("4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"), 10).unwrap(),
        BYTES
    );
    assert_eq!(read(Answer::new(200, ""), 0).unwrap(), b"");
    let rows = [
        ("stated longer", read(Answer::new(200, BYTES), 9)),
        ("stated shorter", read(Answer::new(200, BYTES), 11)),
        ("longer", read(unstated(BYTES), 9)),
        ("shorter", read(unstated(BYTES), 11)),
        (
            "cut",
            read(
                Answer::new(200, &BYTES[..4]).header("Content-Length", "10"),
                10,
            ),
        ),
        ("cut chunk", read(chunked("4\r\n0123\r\n6\r\n45"), 10)),
        (
            "long chunks",
            read(chunked("b\r\n0123456789x\r\n0\r\n\r\n"), 10),
        ),
        ("no chunks", read(chunked("zz\r\n"), 10)),
        (
            "silence",
            read(
                Answer {
                    stall: Some(Duration::from_secs(3)),
                    ..Answer::new(200, BYTES)
                },
                10,
            ),
        ),
        ("missing", read(Answer::new(404, ""), 10)),
        ("part", read(Answer::new(206, BYTES), 10)),
    ];
    let rows = rows.map(|(what, result)| format!("{what}: {}", result.unwrap_err()));
    insta::assert_snapshot!(rows.join("\n"), @r"
        stated longer: Unavailable: blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 has 9 bytes, but `HOST` sends 10
        stated shorter: Unavailable: blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 has 11 bytes, but `HOST` sends 10
        longer: Unavailable: blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 has 9 bytes, but `HOST` sends more
        shorter: Unavailable: blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 has 11 bytes, but `HOST` stopped after 10 | try again
        cut: Unavailable: blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 has 10 bytes, but `HOST` stopped after 4 | try again
        cut chunk: Unavailable: blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 has 10 bytes, but `HOST` stopped after 6 | try again
        long chunks: Unavailable: blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 has 10 bytes, but `HOST` sends more
        no chunks: Unavailable: `HOST` does not speak HTTP as it should: protocol: chunk length cannot be read as a number
        silence: Unavailable: `HOST` did not answer within 0.5 seconds | check the network, and $HTTPS_PROXY if there is a proxy
        missing: NotFound: registry `HOST` has no blob sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882 in `a/b` | the image was pushed incompletely or partly deleted; push it again
        part: Unavailable: `HOST` answers with status 206
        ");
}

#[test]
fn slow_streams_are_waited_for() {
    // Slower than the patience for silence in all, but never silent for so long.
    let body: Vec<u8> = vec![b'x'; 3];
    let answer = Answer {
        stall: Some(Duration::from_millis(300)),
        ..Answer::new(200, body.clone())
    };
    assert_eq!(read(answer, 3).unwrap(), body);
}
