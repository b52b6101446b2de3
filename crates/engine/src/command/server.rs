//! Commands on servers.

use super::Command;

pub const COMMANDS: &[Command] = &[];
