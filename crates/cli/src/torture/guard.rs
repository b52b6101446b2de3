//! What the stages rely on the store to do, and how each is taken out: beneath the store or beside it, so that nothing
//! in the store can be switched off. A stage without one of its guards must find a violation.

/// One thing that keeps acknowledged work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Sync,
    SyncFolder,
    SyncFirst,
    Position,
    Write,
    Error,
    Annotation,
    Cut,
    Replay,
    Fence,
    Lease,
    Due,
    Gap,
    Room,
    Errno,
    Hold,
}

impl Guard {
    pub const ALL: [Self; 16] = [
        Self::Sync,
        Self::SyncFolder,
        Self::SyncFirst,
        Self::Position,
        Self::Write,
        Self::Error,
        Self::Annotation,
        Self::Cut,
        Self::Replay,
        Self::Fence,
        Self::Lease,
        Self::Due,
        Self::Gap,
        Self::Room,
        Self::Errno,
        Self::Hold,
    ];

    /// The guard of that name.
    ///
    /// # Errors
    /// What to choose from.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|guard| guard.name() == name).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|guard| guard.name()).collect();
            format!("there is no guard `{name}`; choose from {}", all.join(", "))
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::SyncFolder => "sync-folder",
            Self::SyncFirst => "sync-first",
            Self::Position => "position",
            Self::Write => "write",
            Self::Error => "error",
            Self::Annotation => "annotation",
            Self::Cut => "cut",
            Self::Replay => "replay",
            Self::Fence => "fence",
            Self::Lease => "lease",
            Self::Due => "due",
            Self::Gap => "gap",
            Self::Room => "room",
            Self::Errno => "errno",
            Self::Hold => "hold",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::Sync => "without it a sync does nothing",
            Self::SyncFolder => "without it a sync of a folder does nothing",
            Self::SyncFirst => "without it replies leave before the sync",
            Self::Position => "without it a reply leaves when the call before it, whoever made it, is safe",
            Self::Write => "without it a killed process takes the end of its log with it",
            Self::Error => "without it a write that failed says that it succeeded",
            Self::Annotation => "without it groups are read unchecked",
            Self::Cut => "without it a torn end stays in the file",
            Self::Replay => "without it the last file of the log is not read",
            Self::Fence => "without it a job is ended without a look at who holds it",
            Self::Lease => "without it jobs are taken back from workers that live",
            Self::Due => "without it jobs are moved before they are due",
            Self::Gap => "without it a jump of the clock looks like time that passed",
            Self::Room => "without it a full disk says that it has room",
            Self::Errno => "without it a system call that failed says that it succeeded",
            Self::Hold => "without it a job is removed by being taken",
        }
    }

    /// The stage that notices.
    pub fn stage(self) -> &'static str {
        match self {
            Self::Sync | Self::SyncFolder | Self::SyncFirst | Self::Position => "power",
            Self::Write | Self::Replay => "kill",
            Self::Error => "fault",
            Self::Annotation => "flip",
            Self::Cut => "cut",
            Self::Fence | Self::Lease | Self::Due => "simulate",
            Self::Gap => "clock",
            Self::Room => "full",
            Self::Errno => "preload",
            Self::Hold => "jobs",
        }
    }
}
