//! Commands on zsets.

use super::Command;

pub const COMMANDS: &[Command] = &[];
