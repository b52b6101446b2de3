//! Commands on lists.

use super::Command;

pub const COMMANDS: &[Command] = &[];
