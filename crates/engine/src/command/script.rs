//! Commands on scripts.

use super::Command;

pub const COMMANDS: &[Command] = &[];
