//! The commands of the README print what it says.

/// Every ```` ```console ```` block: `$ command`, then its output, where `[..]` stands for anything on a line and
/// `...` for any lines.
#[test]
fn the_readmes_commands_print_what_it_says() {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the root is there");
    trycmd::TestCases::new().case("README.md");
}
