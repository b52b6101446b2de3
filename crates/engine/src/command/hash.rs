//! Commands on hashs.

use super::Command;

pub const COMMANDS: &[Command] = &[];
