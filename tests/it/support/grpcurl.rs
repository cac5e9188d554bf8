//! The real grpcurl, as callers have it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder with a grpcurl of the version that `scripts/tools` pins; installed if it is missing.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let house = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = house.join(".tools/bin");
        if !folder.join("grpcurl").exists() {
            let installed = Command::new(house.join("scripts/tools")).arg("grpcurl").output().unwrap();
            assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        }
        folder
    })
}
