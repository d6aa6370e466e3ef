//! Events, and what they tell.

use super::introspection::Schema;
use super::types::{Nothing, Type, enumeration, object};
use crate::remote::{End, Notice};
use serde_json::Value;

/// Declares the events: what each tells, and its name.
macro_rules! events {
    ($($Event:ident($Data:ty) $name:literal,)*) => {
        /// Something that happened.
        #[derive(Clone, Debug)]
        pub(super) enum Event {
            $($Event($Data),)*
        }

        impl Event {
            /// Its name, and its data.
            pub(super) fn into_json(self) -> serde_json::Result<(&'static str, Value)> {
                match self {
                    $(Event::$Event(data) => Ok(($name, serde_json::to_value(data)?)),)*
                }
            }

            /// Puts all of them into `schema`.
            pub(super) fn describe(schema: &mut Schema) {
                $(
                    let data = <$Data>::describe(schema);
                    schema.event($name, data);
                )*
            }
        }
    };
}

events! {
    Stop(Nothing) "STOP",
    Resume(Nothing) "RESUME",
    PowerDown(Nothing) "POWERDOWN",
    Reset(Restart) "RESET",
    Shutdown(Restart) "SHUTDOWN",
    JobStatusChange(JobStatusChange) "JOB_STATUS_CHANGE",
}

enumeration! {
    /// Why a machine is reset or shut down.
    ShutdownCause {
        QmpQuit "host-qmp-quit",
        QmpReset "host-qmp-system-reset",
        HostSignal "host-signal",
        GuestShutdown "guest-shutdown",
        GuestReset "guest-reset",
        GuestPanic "guest-panic",
    }
}

object! {
    /// Data of `RESET` and `SHUTDOWN`.
    Restart {
        /// The guest wanted it.
        "guest" guest: bool,
        "reason" reason: ShutdownCause,
    }
}

enumeration! {
    /// What a job is about to do.
    JobStatus {
        Created "created",
        Running "running",
        Waiting "waiting",
        Pending "pending",
        Aborting "aborting",
        Concluded "concluded",
        Null "null",
    }
}

object! {
    /// Data of `JOB_STATUS_CHANGE`.
    JobStatusChange {
        "id" id: String,
        "status" status: JobStatus,
    }
}

impl From<Notice> for Event {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Resumed => Event::Resume(Nothing {}),
            Notice::Stopped(_) => Event::Stop(Nothing {}),
            Notice::PowerButton => Event::PowerDown(Nothing {}),
            Notice::Reset { guest } => {
                let reason = if guest { ShutdownCause::GuestReset } else { ShutdownCause::QmpReset };
                Event::Reset(Restart { guest, reason })
            }
            Notice::Shutdown(end) => {
                let (guest, reason) = match end {
                    End::Guest => (true, ShutdownCause::GuestShutdown),
                    End::GuestReset => (true, ShutdownCause::GuestReset),
                    End::GuestStuck => (true, ShutdownCause::GuestPanic),
                    End::Asked => (false, ShutdownCause::QmpQuit),
                    End::Host => (false, ShutdownCause::HostSignal),
                };
                Event::Shutdown(Restart { guest, reason })
            }
        }
    }
}
