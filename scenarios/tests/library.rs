//! Every scenario of the library can be loaded, and says what it is about.

use std::path::{Path, PathBuf};

use scenarios::{Scenario, load};

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("library")
}

fn scenario(name: &str) -> Scenario {
    match load(library().join(name).with_extension("ron")) {
        Ok(scenario) => scenario,
        Err(error) => panic!("{name}: {:?}", miette::Report::new(error)),
    }
}

#[test]
fn every_scenario_loads_and_describes_itself() {
    let files = std::fs::read_dir(library()).unwrap();
    let mut count = 0;
    for file in files.map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "ron") {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let scenario = scenario(stem);
            assert_eq!(&*scenario.name, stem);
            assert!(scenario.description.is_some(), "{stem}");
            count += 1;
        }
    }
    assert!(count >= 6);
}
