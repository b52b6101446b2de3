//! Native bodies of a few scripts, known by their digests.
//!
//! A job system spends nearly all its calls on two or three scripts, and most of such a call is the bridge to Lua.
//! So the engine knows the digests of the hot ones and has for each a function of the same meaning: same reply,
//! same effects. The text stays the definition. A body first looks whether everything is as usual, changing
//! nothing, and only then acts; whatever is rare (a key of another type, a missing group, an argument out of form,
//! a limit that is reached) it leaves to the text by answering none, and so stays short.
//!
//! What a body does not have is the Lua state with its limits on memory and instructions: its own bounds are on the
//! number of its arguments. To add one: its function in a file here, its digest in [`BODIES`], and its calls in the
//! property test that holds both to the same replies and effects.

mod check;
mod exchange;
mod lane;
mod push;
mod ruled;
mod unique;

use std::sync::LazyLock;

use windlass_resp::Value;

use crate::args::Args;
use crate::command::{self, Answer, Command, Run};
use crate::error::Result;
use crate::number::parse_integer;
use crate::script::{Digest, Scene};
use crate::state::Call;
use crate::types::SortedSet;

/// Stands for a script's text: takes KEYS and ARGV and answers the script's reply. None means that this is not the
/// usual case: nothing has changed, and the text is to run.
pub type Body = fn(&mut Scene, &[&[u8]], &[&[u8]]) -> Option<Value>;

/// The scripts that have a body, by the digests of their texts.
const BODIES: [(&str, Body); 6] = [
    ("dcdfbb6d252501362393cf9d156f083df390f1d3", push::push),
    ("0983a1678100e5aed41845c9251848d710b78767", exchange::exchange),
    ("8f6355023432ca4561edc5db46135e9f90de2755", ruled::exchange),
    ("9b266a1b35dabd24e5e66ed7afe86899d322cde4", lane::push),
    ("e3960e332d677f73e34bf1d734f923db039f5727", unique::push),
    ("6599e53e4ee92768a9708ea45544ab6738ce205b", unique::release),
];

/// The consumer group of every ready stream.
const GROUP: &[u8] = b"w";
/// The one member of a wake key.
const MARK: &[u8] = b"w";
/// Numbers from here on are not exact in Lua.
const NUMBER_END: u64 = 1 << 53;

/// In whose name the bodies look at the state.
static VIEWER: LazyLock<&Command> = LazyLock::new(|| command::find(b"evalsha").expect("the command exists"));

/// The digests of the scripts that have a native body.
///
/// ```
/// assert!(windlass_engine::native_scripts().all(|digest| digest.len() == 40));
/// ```
pub fn native_scripts() -> impl Iterator<Item = &'static str> {
    BODIES.iter().map(|(digest, _)| *digest)
}

/// The native body of a script, if it has one.
pub fn body(digest: &Digest) -> Option<Body> {
    let known = |text: &str| Digest::parse(text.as_bytes()).as_ref() == Some(digest);
    BODIES.iter().find(|(text, _)| known(text)).map(|(_, body)| *body)
}

/// A number that Lua reads as this very one.
fn number(text: &[u8]) -> Option<u64> {
    parse_integer(text).and_then(|number| u64::try_from(number).ok()).filter(|number| *number < NUMBER_END)
}

/// Leaves the mark by which an idle worker is woken.
fn wake(scene: &mut Scene, key: &[u8]) -> Result<()> {
    let is_there = scene.view(&[]).get::<SortedSet>(key)?.is_some_and(|set| set.score(MARK) == Some(0.0));
    if is_there { Ok(()) } else { scene.run(&[b"ZADD", key, b"0", MARK]).map(drop) }
}

impl Scene {
    /// A view of the state as a command has it, for what a body does beside commands.
    fn view<'a>(&'a mut self, args: &'a [&'a [u8]]) -> Call<'a> {
        let command = *VIEWER;
        let Self { state, session, now, .. } = self;
        Call { state, session, command, args: Args(args), now: *now, wait: None, event: None }
    }

    /// Runs a command for a body.
    fn run(&mut self, args: &[&[u8]]) -> Answer {
        let command = command::find(args[0]).expect("a body runs commands that exist");
        let Run::Call(body) = command.run else { unreachable!("a body runs plain commands") };
        self.state.call(&mut self.session, command, body, Args(args), self.now).0
    }
}
