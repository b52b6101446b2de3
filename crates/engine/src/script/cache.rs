//! Scripts by their digest, and the Lua state that runs them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::FixedState;
use sha1_smol::Sha1;
use windlass_resp::{Protocol, Value};

use super::bridge::Kept;
use super::function::Callbacks;
use super::guard::ScriptGuard;
use super::machine::{Code, Machine, Task};
use super::scene::{Caller, Scene};
use super::source::{self, Declaration};
use crate::args::Args;
use crate::command::Command;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::native;
use crate::session::{Session, SessionId};
use crate::state::State;
use crate::time::Time;

/// The most scripts that EVAL leaves in the cache; what SCRIPT LOAD put there stays. A client that makes each
/// script anew, with values in its text, would fill any memory.
const EVALUATED_MAX: usize = 500;

/// The most scripts that are kept compiled.
const COMPILED_MAX: usize = 2000;

/// The SHA-1 digest that names a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 20]);

impl Digest {
    /// The digest of a script.
    pub fn of(source: &[u8]) -> Self {
        Self(Sha1::from(source).digest().bytes())
    }

    /// Reads forty hexadecimal digits in any case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; 40] = text.try_into().ok()?;
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = hexadecimal(pair[0])? << 4 | hexadecimal(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Forty digits in lower case.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    let decimal = digit.wrapping_sub(b'0');
    if decimal < 10 {
        return Some(decimal);
    }
    let letter = (digit | 0x20).wrapping_sub(b'a');
    (letter < 6).then_some(letter + 10)
}

struct Script {
    source: Box<[u8]>,
    declaration: Declaration,
    /// Compiled in the present machine, once it was needed there.
    function: Option<Kept>,
    /// What stands for it in the usual case.
    native: Option<native::Body>,
}

/// The scripts of an engine. They are no data: nothing of this is logged.
pub struct Scripts {
    scripts: HashMap<Digest, Script, FixedState>,
    /// How many scripts are compiled.
    compiled: usize,
    /// The functions of libraries, where their code has run in the present machine.
    pub(super) callbacks: Callbacks,
    /// What EVAL left, the oldest first.
    evaluated: VecDeque<Digest>,
    /// Made when first needed, and again when one had to be thrown away.
    machine: Option<Machine>,
    seed: u64,
    /// Looks after what runs, if the engine's owner wants to.
    guard: Option<Arc<dyn ScriptGuard>>,
    /// What stands in for the engine's state, and the session of scripts, while none runs.
    spare: Option<(Box<State>, Box<Session>)>,
}

impl Scripts {
    pub fn new(seed: u64) -> Self {
        Self {
            scripts: HashMap::default(),
            compiled: 0,
            callbacks: Callbacks::default(),
            evaluated: VecDeque::new(),
            machine: None,
            seed,
            guard: None,
            spare: None,
        }
    }

    /// Has a guard look after the scripts that run from now on.
    pub fn set_guard(&mut self, guard: Arc<dyn ScriptGuard>) {
        self.guard = Some(guard);
    }

    pub fn has(&self, digest: &Digest) -> bool {
        self.scripts.contains_key(digest)
    }

    /// What the script of a call declares of itself, where `command` calls a script and the script can be told.
    pub fn declaration(&self, command: &Command, args: Args<'_>) -> Option<Declaration> {
        match command.name {
            "eval" | "eval_ro" => Some(source::split(args[1]).ok()?.0),
            "evalsha" | "evalsha_ro" => Some(self.scripts.get(&Digest::parse(args[1])?)?.declaration),
            _ => None,
        }
    }

    /// How many scripts there are.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Forgets all scripts, and with them the Lua state.
    pub fn flush(&mut self) {
        *self = Self { guard: self.guard.take(), ..Self::new(self.seed) };
    }

    /// Keeps a script that SCRIPT LOAD gave.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn load(&mut self, source: &[u8]) -> Result<Digest> {
        let digest = Digest::of(source);
        self.add(digest, source)?;
        self.evaluated.retain(|other| *other != digest);
        Ok(digest)
    }

    /// Keeps a script that EVAL gave, for a time.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn load_evaluated(&mut self, source: &[u8]) -> Result<Digest> {
        let digest = Digest::of(source);
        if !self.has(&digest) {
            self.add(digest, source)?;
            self.evaluated.push_back(digest);
            if self.evaluated.len() > EVALUATED_MAX
                && let Some(oldest) = self.evaluated.pop_front()
                && let Some(script) = self.scripts.remove(&oldest)
            {
                self.release(script);
            }
        }
        Ok(digest)
    }

    fn add(&mut self, digest: Digest, source: &[u8]) -> Result<()> {
        if self.has(&digest) {
            return Ok(());
        }
        let (declaration, code) = source::split(source)?;
        let function = Some(self.compile(code)?);
        let script = Script { source: source.into(), declaration, function, native: native::body(&digest) };
        self.scripts.insert(digest, script);
        Ok(())
    }

    /// The Lua state, if there is one by now.
    pub(super) fn made_machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    pub(super) fn machine(&mut self) -> Result<&Machine> {
        if self.machine.is_none() {
            let machine = Machine::new(self.seed);
            self.machine = Some(machine.map_err(|error| Error::new(format!("ERR no Lua state: {error}")))?);
        }
        Ok(self.machine.as_ref().expect("made above"))
    }

    /// Runs the script `digest` on `state`.
    ///
    /// # Errors
    /// When there is no such script, or it may not run as it declares itself.
    pub fn run(&mut self, digest: Digest, state: &mut Box<State>, run: Invocation<'_>) -> Result<Value> {
        let script = self.scripts.get(&digest).ok_or(Error::NO_SCRIPT)?;
        let (declaration, native) = (script.declaration, script.native);
        let entry = Entry {
            caller: Caller::Script(digest),
            is_read_only: declaration.no_writes,
            allows_oom: declaration.allow_oom,
        };
        if declaration.is_explicit {
            entry.check(state, &run)?;
        }
        let native = native.filter(|_| {
            state.config.native_scripts && state.settings.notify.is_empty() && state.users.is_open()
        });
        self.enter(entry, state, run, |scripts, mut scene, run| {
            if let Some(reply) = native.and_then(|body| body(&mut scene, run.keys, run.argv)) {
                return (scene, Ok(reply));
            }
            match scripts.prepare(digest) {
                Ok(script) => scripts.play_code(scene, Code::Script(script), run),
                Err(error) => (scene, Err(error)),
            }
        })
    }

    /// Moves `state` to a scene for the time of one script or function, which `play` plays.
    pub(super) fn enter(
        &mut self,
        entry: Entry,
        state: &mut Box<State>,
        run: Invocation<'_>,
        play: impl FnOnce(&mut Self, Scene, &Invocation<'_>) -> (Scene, Result<Value>),
    ) -> Result<Value> {
        let (spare, mut session) = self.spare.take().unwrap_or_else(|| {
            let config = Config { databases: 0, ..Config::default() };
            (Box::new(State::new(config)), Box::new(Session::new(SessionId(0), "", true, run.now)))
        });
        session.id = run.session.id;
        session.is_script = true;
        session.user.clone_from(&run.session.user);
        session.db = run.session.db;
        session.protocol = Protocol::Resp2;
        // What the caller watches breaks by its own script, too.
        session.watched = std::mem::take(&mut run.session.watched);
        session.is_watch_broken = run.session.is_watch_broken;
        let scene = Scene {
            state: std::mem::replace(state, spare),
            session,
            now: run.now,
            caller: entry.caller,
            is_read_only: run.is_read_only || entry.is_read_only,
            allows_oom: entry.allows_oom,
            has_written: false,
            failure: None,
        };
        let (mut scene, reply) = play(self, scene, &run);
        run.session.watched = std::mem::take(&mut scene.session.watched);
        run.session.is_watch_broken = scene.session.is_watch_broken;
        self.spare = Some((std::mem::replace(state, scene.state), scene.session));
        reply
    }

    /// Runs what is compiled or registered in the Lua state.
    pub(super) fn play_code(
        &mut self,
        scene: Scene,
        code: Code<'_>,
        run: &Invocation<'_>,
    ) -> (Scene, Result<Value>) {
        let instructions_max = scene.state.config.script_instructions_max;
        let guard = self.guard.as_ref();
        let task = Task { code, keys: run.keys, argv: run.argv, instructions_max, guard };
        let machine = self.machine.as_ref().expect("the code was compiled in it");
        let done = machine.run(&task, scene);
        if !done.is_sound {
            self.replace_machine();
        }
        (done.scene, Ok(done.reply))
    }

    /// The compiled script.
    fn prepare(&mut self, digest: Digest) -> Result<Kept> {
        let script = self.scripts.get(&digest).ok_or(Error::NO_SCRIPT)?;
        if let Some(function) = script.function {
            return Ok(function);
        }
        let source = script.source.clone();
        let (_, code) = source::split(&source)?;
        let function = self.compile(code)?;
        let script = self.scripts.get_mut(&digest).expect("it was there");
        script.function = Some(function);
        Ok(function)
    }

    fn compile(&mut self, code: &[u8]) -> Result<Kept> {
        if self.compiled >= COMPILED_MAX {
            self.forget_compiled();
        }
        let function = self.machine()?.compile(code)?;
        self.compiled += 1;
        Ok(function)
    }

    /// Drops what is compiled. It is compiled again when needed.
    fn forget_compiled(&mut self) {
        let compiled = self.scripts.values_mut().filter_map(|script| script.function.take());
        if let Some(machine) = &self.machine {
            compiled.for_each(|function| machine.forget(function));
        } else {
            compiled.for_each(drop);
        }
        self.compiled = 0;
    }

    /// Lets go of what is compiled of a script that goes.
    fn release(&mut self, script: Script) {
        if let (Some(function), Some(machine)) = (script.function, &self.machine) {
            machine.forget(function);
            self.compiled -= 1;
        }
    }

    /// Throws the Lua state away, and what is compiled with it.
    pub(super) fn replace_machine(&mut self) {
        self.machine = None;
        self.callbacks.clear();
        self.forget_compiled();
    }
}

/// What runs, and what it may do.
pub struct Entry {
    pub caller: Caller,
    pub is_read_only: bool,
    pub allows_oom: bool,
}

impl Entry {
    /// Checks that what declares itself so may run now.
    ///
    /// # Errors
    /// In Redis's words.
    pub fn check(&self, state: &State, run: &Invocation<'_>) -> Result<()> {
        if self.is_read_only {
            return Ok(());
        }
        if run.is_read_only {
            return Err(Error::WRITES_IN_READ_ONLY);
        }
        if !self.allows_oom && state.is_over_limit() { Err(Error::OUT_OF_MEMORY) } else { Ok(()) }
    }
}

/// How a script is called.
pub struct Invocation<'a> {
    pub session: &'a mut Session,
    pub keys: &'a [&'a [u8]],
    pub argv: &'a [&'a [u8]],
    pub is_read_only: bool,
    pub now: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_in_any_case() {
        let digest = Digest::of(b"return 1");
        assert_eq!(digest.hex(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(Digest::parse(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(digest));
        assert_eq!(Digest::parse(b"e0e1f9fabfc9d4800c877a703b823ac0578ff8d"), None);
        assert_eq!(Digest::parse(b"g0e1f9fabfc9d4800c877a703b823ac0578ff8db"), None);
    }

    #[test]
    fn scripts_of_eval_make_room_for_each_other_and_loaded_ones_stay() {
        let mut scripts = Scripts::new(0);
        let loaded = scripts.load(b"return 'loaded'").expect("it is well-formed");
        let first = scripts.load_evaluated(b"return 'first'").expect("it is well-formed");
        for number in 0..EVALUATED_MAX {
            scripts.load_evaluated(format!("return {number}").as_bytes()).expect("it is well-formed");
        }
        assert!(scripts.has(&loaded));
        assert!(!scripts.has(&first));
    }
}
