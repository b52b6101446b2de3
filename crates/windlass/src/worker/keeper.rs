//! The keeper ends the programs of process jobs when this process is gone: a worker that is killed cannot do it, and its jobs
//! run again elsewhere.
//!
//! It is a shell that reads which process groups begin and end from a pipe. The system closes the pipe when this process
//! ends, however that comes about; what has not ended then is killed. There is one keeper in a process, from its first
//! process job on.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

/// What the keeper does. No signal ends it that a terminal sends, or who stops a service.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
all=' '
while read -r sign group; do
  case $sign in
    +) all="$all$group " ;;
    -) all="${all%% "$group" *} ${all#* "$group" }" ;;
  esac
done
for group in $all; do kill -KILL "-$group"; done
"#;

static KEEPER: Mutex<Keeper> = Mutex::new(Keeper { shell: None, groups: BTreeSet::new() });

#[derive(Debug)]
struct Keeper {
    shell: Option<(Child, ChildStdin)>,
    groups: BTreeSet<i32>,
}

/// A group has begun.
pub(super) fn keep(group: Pid) {
    let mut keeper = lock();
    let group = group.as_raw_nonzero().get();
    keeper.groups.insert(group);
    if let Err(error) = keeper.tell('+', group) {
        tracing::warn!(target: "windlass", "programs would outlive a killed worker: no shell keeps them ({error})");
    }
}

/// A group has ended: its number may soon be another's.
pub(super) fn forget(group: Pid) {
    let mut keeper = lock();
    let group = group.as_raw_nonzero().get();
    if keeper.groups.remove(&group) {
        // If it cannot be told it is gone, and knows nothing any more.
        let _ = keeper.tell('-', group);
    }
}

fn lock() -> MutexGuard<'static, Keeper> {
    KEEPER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Tells of one group; a keeper that is new is told of all there are.
    fn tell(&mut self, sign: char, group: i32) -> io::Result<()> {
        if let Some((shell, pipe)) = &mut self.shell {
            if pipe.write_all(format!("{sign} {group}\n").as_bytes()).is_ok() {
                return Ok(());
            }
            // Somebody killed it.
            let _ = shell.wait();
            self.shell = None;
        }
        let mut command = Command::new("sh");
        // In a group of its own, and in no folder that somebody may want to unmount.
        command.args(["-c", SCRIPT]).process_group(0).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn()?;
        let mut pipe = shell.stdin.take().ok_or_else(|| io::Error::other("it has no pipe"))?;
        let all: String = self.groups.iter().map(|group| format!("+ {group}\n")).collect();
        pipe.write_all(all.as_bytes())?;
        self.shell = Some((shell, pipe));
        Ok(())
    }
}
