//! Files in, checked scenario out.

use std::path::{Path, PathBuf};

use algorithms::ids::Name;

use crate::check::Checker;
use crate::error::{Problem, ScenarioError};
use crate::file::{File, Named};
use crate::read::at::{At, Place};
use crate::source::Sources;
use crate::{Scenario, ScenarioRun};

/// Files that include one another, one within the other.
const MAX_INCLUDE_DEPTH: usize = 16;
/// Files that one scenario is read from.
const MAX_FILES: usize = 64;
/// All of them together.
const MAX_BYTES: usize = 16 << 20;
/// The seed where a scenario gives none.
const DEFAULT_SEED: u64 = 1;

/// Reads the scenario in the file at `path`, with the files that it includes, and checks it.
///
/// # Errors
///
/// Everything that is wrong with the scenario, see [`ScenarioError`].
pub fn load(path: impl AsRef<Path>) -> Result<Scenario, ScenarioError> {
    let path = path.as_ref();
    let mut reader = Reader::default();
    let read = reader.read_path(path, None);
    let stem = path.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy());
    finish(read, &stem, reader.sources)
}

/// Reads and checks a scenario that is no file; it cannot include any. `name` stands for it in
/// errors.
///
/// # Errors
///
/// Everything that is wrong with the scenario, see [`ScenarioError`].
pub fn parse(text: &str, name: &str) -> Result<Scenario, ScenarioError> {
    let mut reader = Reader::default();
    let read = reader.read_text(name.to_string(), text, None);
    finish(read, name, reader.sources)
}

fn finish(read: Result<File, Problem>, stem: &str, sources: Sources) -> Result<Scenario, ScenarioError> {
    let mut checker = Checker::default();
    let scenario = match read {
        Ok(file) => checker.scenario(file, stem, sources.opening()),
        Err(problem) => {
            checker.problems.push(problem);
            None
        }
    };
    match scenario {
        Some(scenario) if checker.problems.is_empty() => Ok(scenario),
        _ => Err(checker.problems.into_error(&sources)),
    }
}

/// The files read so far, and those that are being read.
#[derive(Default)]
struct Reader {
    sources: Sources,
    bytes: usize,
    /// Each includes the next: the path as given, and in one form for all ways to write it.
    chain: Vec<(PathBuf, PathBuf)>,
}

impl Reader {
    /// Reads a file, which `at` has included.
    fn read_path(&mut self, path: &Path, at: Option<Place>) -> Result<File, Problem> {
        let problem = |message: String| match at {
            Some(place) => Problem::at(place, message, "included here"),
            None => Problem::nowhere(message),
        };
        let shown = path.display();
        let canonical = path.canonicalize().map_err(|error| {
            problem(format!("cannot read {shown}: {error}"))
                .maybe_help(at.map(|_| "paths are relative to the including file".to_string()))
        })?;
        if let Some(start) = self.chain.iter().position(|(_, known)| *known == canonical) {
            let chain = self.chain[start..].iter().map(|(path, _)| path.display().to_string());
            let chain: Vec<String> = chain.chain([shown.to_string()]).collect();
            return Err(problem(format!("the file includes itself: {}", chain.join(" → ")))
                .help("put what both need into a third file that includes neither"));
        }
        if self.chain.len() == MAX_INCLUDE_DEPTH {
            return Err(problem(format!("more than {MAX_INCLUDE_DEPTH} files include one another")));
        }
        if self.sources.count() == MAX_FILES {
            return Err(problem(format!("the scenario includes more than {MAX_FILES} files")));
        }
        let text = read_bounded(path, MAX_BYTES - self.bytes).map_err(problem)?;
        self.chain.push((path.to_path_buf(), canonical));
        let file = self.read_text(shown.to_string(), &text, path.parent());
        self.chain.pop();
        file
    }

    /// Reads a text, and what it includes from `directory`.
    fn read_text(&mut self, name: String, text: &str, directory: Option<&Path>) -> Result<File, Problem> {
        self.bytes += text.len();
        if self.bytes > MAX_BYTES {
            return Err(Problem::nowhere(format!(
                "the scenario has more than {} MiB of text",
                MAX_BYTES >> 20
            )));
        }
        let mut file = self.sources.read(name, text)?;
        let mut base = File::default();
        for include in file.include.take().unwrap_or_default() {
            base = self.included(&include, directory)?.over(base);
        }
        Ok(file.over(base))
    }

    fn included(&mut self, include: &At<String>, directory: Option<&Path>) -> Result<File, Problem> {
        let Some(directory) = directory else {
            return Err(Problem::at(
                include.place,
                "a scenario that is no file cannot include any",
                "this one",
            ));
        };
        self.read_path(&directory.join(&include.value), Some(include.place))
    }
}

/// The text of a file that is not larger than `most`.
fn read_bounded(path: &Path, most: usize) -> Result<String, String> {
    use std::io::Read;
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() > most {
        return Err(format!("{shown} is too large: a scenario has at most {} MiB of text", MAX_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not text in UTF-8"))
}

impl Checker {
    fn scenario(&mut self, mut file: File, stem: &str, whole: Place) -> Option<Scenario> {
        let name: Name = file.name.as_deref().unwrap_or(stem).into();
        let alternatives = file.alternatives.take().unwrap_or_default();
        let mut scenario = Scenario {
            name: name.clone(),
            description: file.description.clone(),
            seed: file.seed.unwrap_or(DEFAULT_SEED),
            runs: Vec::new(),
        };
        if alternatives.0.is_empty() {
            let (model, measured) = self.model(&file, &name, None, whole)?;
            let qemu = self.qemu(file.hypervisor.as_ref(), &model.hypervisor);
            scenario.runs.push(ScenarioRun { alternative: None, model, measured, qemu });
            return Some(scenario);
        }
        self.check_alternatives(&alternatives);
        for (alternative, overrides) in alternatives.0 {
            if self.problems.are_enough() {
                return None;
            }
            let alternative_name: Name = alternative.value.into();
            let given = overrides.value.over(file.clone());
            let run = self.model(&given, &name, Some(alternative_name.clone()), alternative.place);
            scenario.runs.extend(run.map(|(model, measured)| {
                let qemu = self.qemu(given.hypervisor.as_ref(), &model.hypervisor);
                ScenarioRun { alternative: Some(alternative_name), model, measured, qemu }
            }));
        }
        Some(scenario)
    }

    /// Alternatives have names of their own, and none within them.
    fn check_alternatives(&mut self, alternatives: &Named<File>) {
        for problem in alternatives.bad_names("alternatives") {
            self.problems.push(problem);
        }
        for (name, overrides) in &alternatives.0 {
            for (field, is_given) in of_the_whole(&overrides.value) {
                if is_given {
                    let message = format!("an alternative cannot have `{field}`");
                    self.problems.push(
                        Problem::at(name.place, message, "in this alternative")
                            .help("this belongs to the scenario as a whole"),
                    );
                }
            }
        }
    }
}

/// Fields that make sense for a whole scenario only, and whether they are given.
fn of_the_whole(file: &File) -> [(&'static str, bool); 5] {
    [
        ("name", file.name.is_some()),
        ("description", file.description.is_some()),
        ("seed", file.seed.is_some()),
        ("include", file.include.is_some()),
        ("alternatives", file.alternatives.is_some()),
    ]
}
