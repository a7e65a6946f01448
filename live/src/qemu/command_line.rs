//! From the command line of a QEMU that runs to that of one that waits for its guest.
//!
//! The two must have the same machine, and must not have the same sockets, displays and forwarded ports. What is for
//! control only is left out; what else both would claim is refused, with what to do instead.

/// Options that control one process and are not part of the machine, and whether a value follows.
const LEFT_OUT: [(&str, bool); 12] = [
    ("-qmp", true),
    ("-qmp-pretty", true),
    ("-monitor", true),
    ("-mon", true),
    ("-pidfile", true),
    ("-D", true),
    ("-incoming", true),
    ("-loadvm", true),
    ("-gdb", true),
    ("-daemonize", false),
    ("-S", false),
    ("-s", false),
];

/// More arguments than this no QEMU of ours has.
const MOST: usize = 4096;

/// The arguments, without the program, of a machine that can take in the guest of one that was started with
/// `arguments`. What makes it wait and listen is for the caller to add.
///
/// # Errors
///
/// In words, where the second machine would claim what the first has.
pub fn destination_arguments(arguments: &[String]) -> Result<Vec<String>, String> {
    if arguments.len() > MOST {
        return Err(format!("its command line has more than {MOST} arguments"));
    }
    let mut kept = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        // QEMU takes two dashes for one.
        let option = argument.strip_prefix('-').filter(|short| short.starts_with('-')).unwrap_or(argument);
        match LEFT_OUT.iter().find(|(name, _)| *name == option) {
            Some((_, has_value)) => {
                if *has_value && rest.next().is_none() {
                    return Err(format!("`{argument}` has no value"));
                }
            }
            None => kept.push(argument.clone()),
        }
    }
    match kept.windows(2).find_map(|pair| claimed(&pair[0], &pair[1])) {
        Some(words) => Err(words),
        None => Ok(kept),
    }
}

/// What two processes cannot both have, of an option and its value.
fn claimed(option: &str, value: &str) -> Option<String> {
    let option = option.trim_start_matches('-');
    let listens = value.contains("server") && (value.starts_with("socket,") || value.contains(":"));
    let what = match option {
        "chardev" | "serial" | "parallel" if listens => "a socket that it listens at",
        "vnc" if value != "none" => "a display that it listens at",
        "spice" => "a display that it listens at",
        "netdev" | "nic" | "net" if value.contains("hostfwd") => "a port that it forwards",
        "netdev" | "nic" | "net" if value.contains("fd=") => "a network device that it was handed",
        "add-fd" => "a file that it was handed",
        _ => return None,
    };
    Some(format!("it has {what} (`-{option} {value}`), which two machines cannot share"))
}

/// Whether a machine that was started with `arguments` waits for leave before it runs.
pub fn waits_for_leave(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "-S" || argument == "--S")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(String::from).collect()
    }

    #[test]
    fn the_machine_is_kept_and_what_controls_it_is_not() {
        let source = "-machine pc -m 64M -qmp unix:/a.qmp,server=on -bios rom.bin --monitor stdio -S -daemonize -pidfile x";
        let kept = destination_arguments(&words(source)).unwrap();
        assert_eq!(kept, words("-machine pc -m 64M -bios rom.bin"));
    }

    #[test]
    fn what_two_cannot_have_is_refused_by_name() {
        for bad in [
            "-m 1G -chardev socket,path=/a,server=on,id=c",
            "-vnc :1",
            "-netdev user,id=n,hostfwd=tcp::2222-:22",
            "-serial unix:/a,server",
            "-m 1G -qmp",
        ] {
            assert!(destination_arguments(&words(bad)).is_err(), "{bad}");
        }
        let refused = destination_arguments(&words("-netdev tap,id=n,fd=3")).unwrap_err();
        assert!(refused.contains("-netdev tap,id=n,fd=3"), "{refused}");
        for good in ["-vnc none", "-netdev user,id=n", "-drive file=a.raw,if=virtio"] {
            assert!(destination_arguments(&words(good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn whether_it_waits_for_leave_is_seen() {
        assert!(waits_for_leave(&words("-m 1G -incoming defer -S")));
        assert!(!waits_for_leave(&words("-m 1G -incoming defer -s")));
    }
}
