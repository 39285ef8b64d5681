//! Compares our `repr(C)` structures with the kernel's headers, as the C compiler of this machine sees them.

use std::io::Write;
use std::process::{Command, Stdio};

/// Fails unless the C type has this size and these fields at these offsets. Without a C compiler nothing is compared.
pub(crate) fn assert_matches(header: &str, c_type: &str, size: usize, fields: &[(&str, usize)]) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("layout");
    let compiler = Command::new("cc")
        .args(["-x", "c", "-", "-o"])
        .arg(&program)
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut compiler) = compiler else {
        eprintln!("no C compiler: {c_type} is not compared with <{header}>");
        return;
    };
    compiler
        .stdin
        .take()
        .unwrap()
        .write_all(source(header, c_type, fields).as_bytes())
        .unwrap();
    assert!(
        compiler.wait().unwrap().success(),
        "the program about {c_type} does not compile"
    );
    let answer = Command::new(&program).output().unwrap().stdout;
    let mut numbers = std::str::from_utf8(&answer)
        .unwrap()
        .lines()
        .map(|line| line.parse::<usize>().unwrap());
    // Newer headers may have added fields at the end.
    assert!(numbers.next().unwrap() >= size, "size of {c_type}");
    for (field, offset) in fields {
        assert_eq!(
            numbers.next().unwrap(),
            *offset,
            "offset of {field} in {c_type}"
        );
    }
}

fn source(header: &str, c_type: &str, fields: &[(&str, usize)]) -> String {
    let mut source = format!(
        "#include <stddef.h>\n#include <stdio.h>\n#include <{header}>\n\
         int main(void) {{\nprintf(\"%zu\\n\", sizeof({c_type}));\n"
    );
    for (field, _) in fields {
        source += &format!("printf(\"%zu\\n\", offsetof({c_type}, {field}));\n");
    }
    source + "return 0;\n}\n"
}
