//! Credentials that live as long as their session: renewed before they expire, and when the relay
//! changes.

use std::time::Instant;

use super::session::Session;
use super::{Environment, Hub, SessionKey};
use crate::frame::Body;
use crate::id::Seq;
use crate::message::ServerMessage;
use crate::message::server::{IceServer, IceServersReason, IceServersRenewed};

impl<E: Environment> Hub<E> {
    /// The servers for one session, from now on.
    pub(super) fn issue_ice_servers(&mut self, now: Instant, key: SessionKey) -> Vec<IceServer> {
        let session = self.session_mut(key);
        session.issue = session.issue.wrapping_add(1);
        let issue = session.issue;
        let Session {
            peer,
            room,
            reached_as,
            token_expires_at,
            ..
        } = &*self.sessions[&key];
        let until = *token_expires_at;
        let account = format!("{peer}:{}", self.rooms[room].tag);
        let servers = self.environment.ice_servers(&account, reached_as, until);
        // What ends with the session's token is not renewed.
        let ends = servers.iter().filter_map(|server| server.expires_at);
        if ends
            .min()
            .is_some_and(|end| until.is_none_or(|until| end < until))
        {
            let due = now + self.config.renew_ice_servers_after;
            self.renewal_due.push_back((due, key, issue));
        }
        servers
    }

    /// Renews what is due. Who is away gets fresh ones with its welcome.
    pub(super) fn renew_ice_servers(&mut self, now: Instant) {
        while self
            .renewal_due
            .front()
            .is_some_and(|(due, ..)| *due <= now)
        {
            let (_, key, issue) = self.renewal_due.pop_front().expect("looked at above");
            let is_current = self
                .sessions
                .get(&key)
                .is_some_and(|session| session.issue == issue && session.connection.is_some());
            if is_current {
                self.push_ice_servers(now, key, IceServersReason::Renewal);
            }
        }
    }

    /// The relay has changed: whoever is there gets what is true now.
    pub fn handle_relay_change(&mut self, now: Instant, reason: IceServersReason) {
        let sessions = self.sessions.iter();
        let here = sessions.filter(|(_, session)| session.connection.is_some());
        let mut keys: Vec<_> = here.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        for key in keys {
            self.push_ice_servers(now, key, reason);
        }
        self.finish(now);
    }

    /// What comes again after a welcome must not replace what that has brought.
    pub(super) fn outdo_old_ice_servers(&mut self, now: Instant, key: SessionKey) {
        if self.sessions[&key].replay.has_ice_servers() {
            self.push_ice_servers(now, key, IceServersReason::Renewal);
        }
    }

    fn push_ice_servers(&mut self, now: Instant, key: SessionKey, reason: IceServersReason) {
        let ice_servers = self.issue_ice_servers(now, key);
        let body = Body::new(&ServerMessage::IceServers(IceServersRenewed {
            ice_servers,
            reason: Some(reason),
            seq: Seq::default(),
        }));
        self.push(key, &body, None);
    }
}
