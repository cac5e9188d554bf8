//! Python, as another reader of what goes over the wire.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use super::grpcurl;

/// What a script in `tests/it/data` prints of its input.
pub fn run(script: &str, input: &[u8]) -> String {
    // The tools from PyPI share an environment, and whoever installs one of them makes it.
    let python = grpcurl::folder().join("../python/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(script);
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
