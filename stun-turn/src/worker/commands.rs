//! What other threads ask a worker to do.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::Worker;
use crate::control::{Command, SessionInfo};
use crate::sockets::{bind_relayed, is_out_of_descriptors};

impl Worker {
    /// Does what other threads ask for; false when it is to end.
    pub(super) fn obey(&mut self) -> bool {
        let now = self.now();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Reconfigure(settings) => {
                    self.settings = Arc::clone(&settings);
                    self.relay.reconfigure(settings);
                    self.tell_clients();
                    self.close_relayed();
                }
                Command::Drain => self.relay.drain(),
                Command::Sessions(answer) => {
                    let sessions = self.relay.sessions(now);
                    let sessions = sessions.map(|it| SessionInfo::new(self.index, &it));
                    // Whoever asked may have given up.
                    let _ = answer.send(sessions.collect());
                }
                Command::End(id, answer) => {
                    let _ = answer.send(self.relay.end_session(now, id));
                    self.close_relayed();
                }
                Command::EndAccount(account) => {
                    self.relay.end_account(now, account.as_bytes());
                    self.close_relayed();
                }
                Command::ShowLife => {
                    self.tally.signs_of_life.add(1);
                    self.look_for_descriptors();
                    self.host.catch_up();
                }
                Command::Adopt(stream) => self.adopt(now, stream),
                Command::Serve(connection) => self.serve(now, connection),
                Command::Stop => return false,
            }
        }
        true
    }

    /// Whether a shortage of descriptors is over. Nobody else may find out: a relay that is not ready
    /// gets no new clients.
    fn look_for_descriptors(&self) {
        if self.tally.short_of_descriptors.get() == 0 {
            return;
        }
        // A host without 127.0.0.1 refuses the address, after it has given a descriptor.
        let probe = bind_relayed((Ipv4Addr::LOCALHOST, 0).into());
        if !probe.is_err_and(|error| is_out_of_descriptors(&error)) {
            self.note_descriptor();
        }
    }

    /// There is a descriptor for what needs one.
    pub(super) fn note_descriptor(&self) {
        if self.tally.short_of_descriptors.get() != 0
            && self.tally.end_shortage(self.now().monotonic)
        {
            tracing::info!("there are descriptors again");
        }
    }
}
