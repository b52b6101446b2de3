//! Commands on streams.

use super::Command;

pub const COMMANDS: &[Command] = &[];
