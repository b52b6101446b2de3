//! What `scripts/test` says where it cannot have what it needs.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of programs, the only ones that a script finds; it is gone with the test.
struct Programs(PathBuf, Vec<(&'static str, &'static str)>);

impl Programs {
    /// The shell and what scripts use of the system, and no more.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("windlass-script-{}-{name}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        for program in ["bash", "dirname", "env"] {
            let found = ["/bin", "/usr/bin"].map(|bin| Path::new(bin).join(program));
            let found = found.iter().find(|path| path.exists()).expect("every system has it");
            symlink(found, folder.join(program)).expect("a link");
        }
        // Where the script would go on to build, it ends.
        Self(folder, Vec::new()).with("cargo", "exit 7").with("valkey-server", "exit 0")
    }

    fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.0.join(name)).expect("it was there");
        self
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.1.push((name, value));
        self
    }

    fn with(self, name: &str, script: &str) -> Self {
        let path = self.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        self
    }

    /// The code that the script ends with, and what it says.
    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\"", "sh"]).arg(self.0.join("bash")).arg(script).args(args);
        command
            .env("PATH", &self.0)
            .env_remove("WINDLASS_TEST_NO_REDIS")
            .env_remove("WINDLASS_TEST_NO_SKIPS");
        command.envs(self.1.iter().copied());
        let output = command.output().expect("there is a shell");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// That it ends with 1 and says so.
fn assert_lack(programs: &Programs, args: &[&str], why: &str) {
    let (code, said) = programs.run(args);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("scripts/test needs: redis-server") && said.contains(why), "{said}");
}

#[test]
fn packages_that_cannot_be_installed_are_named_with_the_reason() {
    let none = Programs::new("none");
    assert_lack(&none, &[], "there is no apt-get here");
    let user = Programs::new("user").with("apt-get", "exit 0").with("id", "echo 1000");
    assert_lack(&user, &[], "this user is not root and there is no sudo");
    let offline = Programs::new("offline").with("apt-get", "exit 100").with("id", "echo 0");
    assert_lack(&offline, &[], "apt-get could not install them (is there a network?)");
    assert_lack(&offline, &["--no-install"], "this run installs nothing");
}

#[test]
fn another_redis_than_that_of_the_fixtures_is_told() {
    for (version, is_told) in [("7.0.15", false), ("7.2.4", true), ("8.0.0", true)] {
        let server = format!("echo 'Redis server v={version} sha=00000000:0'");
        let programs = Programs::new(version).with("redis-server", &server);
        let (code, said) = programs.run(&["--no-install"]);
        assert_eq!(code, Some(7), "it goes on: {said}");
        assert_eq!(said.contains("The fixtures of commands are those of Redis 7.0"), is_told, "{said}");
    }
}

/// A system with all but a valkey-server.
fn no_valkey(name: &str) -> Programs {
    let tools = ["cc", "c++", "make"].into_iter();
    let programs = tools.fold(Programs::new(name), |programs, tool| programs.with(tool, "exit 0"));
    programs.with("redis-server", "echo 'Redis server v=7.0.15 sha=0'").without("valkey-server")
}

#[test]
fn a_store_that_is_left_out_is_told_or_a_failure() {
    let (code, said) = no_valkey("told").run(&[]);
    assert_eq!(code, Some(7), "it goes on: {said}");
    assert!(said.contains("no valkey-server can be had by apt: there is no apt-get here"), "{said}");
    assert!(said.contains("*** LEFT OUT: the cases on valkey-server"), "{said}");
    let (code, said) = no_valkey("strict").env("WINDLASS_TEST_NO_SKIPS", "1").run(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("scripts/test needs: valkey-server") && said.contains("NO_SKIPS"), "{said}");
    // What apt has, but cannot give, is not passed over.
    let broken = no_valkey("broken").with("apt-get", "exit 100").with("apt-cache", "exit 0");
    let broken =
        broken.with("mkdir", "/bin/mkdir \"$@\"").env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
    let (code, said) = broken.run(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the package that apt has of it cannot be used"), "{said}");
}
