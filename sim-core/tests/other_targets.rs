//! The bits of `golden_bits`, built and run for each further target that the toolchain can build and this
//! machine can run: another C library, another width, another processor behind a runner.
//!
//! It builds everything anew for each target, and is therefore asked for by name. Where there is no further
//! target it fails then: what was not compared has not passed.
//!
//! ```sh
//! rustup target add x86_64-unknown-linux-musl
//! cargo test -p sim-core --test other_targets -- --ignored --nocapture
//! ```

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "builds for another target, where the toolchain has one"]
fn golden_bits_are_the_same_on_other_targets() {
    let (can_run, cannot): (Vec<String>, Vec<String>) = others().into_iter().partition(|it| runs_here(it));
    if !cannot.is_empty() {
        eprintln!("no runner for {}: set CARGO_TARGET_<TARGET>_RUNNER", cannot.join(", "));
    }
    assert!(
        !can_run.is_empty(),
        "NOT CHECKED on a second target: the toolchain has none that this machine can run; \
         `rustup target list` shows those to add"
    );
    for target in can_run {
        eprintln!("golden bits on {target}");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        // A directory of its own, so that the build waits for no other.
        let status = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "--test", "golden_bits", "--target", &target, "--manifest-path"])
            .arg(manifest)
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-targets"))
            .status()
            .expect("cargo runs, as it built this test");
        assert!(status.success(), "golden bits on {target}: {status}");
    }
}

/// Targets whose standard library is installed, without the compiler's own.
fn others() -> Vec<String> {
    let version = rustc(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let rustlib = Path::new(rustc(&["--print", "sysroot"]).trim()).join("lib/rustlib");
    let entries = rustlib.read_dir().expect("a toolchain has its rustlib").filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join("lib").is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| Some(name.as_str()) != host)
        .collect();
    names.sort();
    names
}

/// Whether cargo was told how to run it, or Linux on this processor does.
fn runs_here(target: &str) -> bool {
    let variable = format!("CARGO_TARGET_{}_RUNNER", target.to_uppercase().replace('-', "_"));
    let of_this_machine = ["gnu", "musl"].map(|c| format!("{}-unknown-linux-{c}", std::env::consts::ARCH));
    std::env::var_os(variable).is_some() || of_this_machine.iter().any(|it| it == target)
}

fn rustc(arguments: &[&str]) -> String {
    let output = Command::new("rustc").args(arguments).output().expect("rustc runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
