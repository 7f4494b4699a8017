//! RFC 8016: a client whose address changes takes its allocation along. A ticket names the
//! allocation; a Refresh with it from a new five-tuple announces the move, and the first thing that
//! comes from there afterwards completes it. Until then the old five-tuple works as before, so that
//! nobody who only overheard a ticket can cut a client off.

use std::collections::HashMap;

use crate::addr::FiveTuple;

/// Names an allocation wherever its client is.
pub(super) type Ticket = [u8; 16];

/// Who may move, and who is moving.
#[derive(Debug, Default)]
pub(super) struct Movers {
    /// By the five-tuple that is in force.
    mobiles: HashMap<FiveTuple, Mobile>,
    by_ticket: HashMap<Ticket, FiveTuple>,
    /// From the announced five-tuple to the one in force.
    announced: HashMap<FiveTuple, FiveTuple>,
}

#[derive(Debug)]
struct Mobile {
    ticket: Ticket,
    /// At most one move is under way: a later announcement replaces an earlier one.
    announcement: Option<Announcement>,
}

#[derive(Debug)]
struct Announcement {
    to: FiveTuple,
    /// Takes the place of the ticket that announced it, once the move is complete.
    ticket: Ticket,
}

impl Movers {
    /// Gives a new allocation's client a ticket.
    pub(super) fn admit(&mut self, client: FiveTuple, ticket: Ticket) {
        self.by_ticket.insert(ticket, client);
        let mobile = Mobile {
            ticket,
            announcement: None,
        };
        self.mobiles.insert(client, mobile);
    }

    /// The ticket that is good now.
    pub(super) fn ticket(&self, client: &FiveTuple) -> Option<Ticket> {
        self.mobiles.get(client).map(|mobile| mobile.ticket)
    }

    /// The five-tuple in force of whoever was given this ticket.
    pub(super) fn find(&self, ticket: &[u8]) -> Option<FiveTuple> {
        let ticket = Ticket::try_from(ticket).ok()?;
        self.by_ticket.get(&ticket).copied()
    }

    /// Notes that `client` is about to move to `to`, and returns the ticket that it will have
    /// there: the same one for a repeated announcement, else `fresh`.
    pub(super) fn announce(&mut self, client: &FiveTuple, to: FiveTuple, fresh: Ticket) -> Ticket {
        let Some(mobile) = self.mobiles.get_mut(client) else {
            return fresh;
        };
        let ticket = match &mobile.announcement {
            Some(announcement) if announcement.to == to => announcement.ticket,
            _ => fresh,
        };
        let before = mobile.announcement.replace(Announcement { to, ticket });
        if let Some(before) = before.filter(|before| before.to != to) {
            self.forget(&before.to, client);
        }
        // Who announced the same address before has lost it.
        let rival = self.announced.insert(to, *client);
        if let Some(rival) = rival.filter(|rival| rival != client)
            && let Some(mobile) = self.mobiles.get_mut(&rival)
        {
            mobile.announcement = None;
        }
        ticket
    }

    /// Who has announced to come from there.
    pub(super) fn announced_by(&self, to: &FiveTuple) -> Option<FiveTuple> {
        self.announced.get(to).copied()
    }

    /// Completes the move to `to`, if one was announced: the five-tuple that was in force.
    pub(super) fn complete(&mut self, to: &FiveTuple) -> Option<FiveTuple> {
        let from = self.announced.remove(to)?;
        let mobile = self.mobiles.remove(&from)?;
        self.by_ticket.remove(&mobile.ticket);
        let announcement = mobile.announcement?;
        self.admit(*to, announcement.ticket);
        Some(from)
    }

    /// Gives a client another name: its connection has ended, and its address may be given to
    /// somebody else. Its ticket finds it.
    pub(super) fn rename(&mut self, client: &FiveTuple, name: FiveTuple) {
        if let Some(mobile) = self.mobiles.remove(client) {
            self.by_ticket.insert(mobile.ticket, name);
            if let Some(announcement) = &mobile.announcement {
                self.announced.insert(announcement.to, name);
            }
            self.mobiles.insert(name, mobile);
        }
    }

    /// Forgets that `client` announced `to`, unless it is somebody else's announcement by now.
    fn forget(&mut self, to: &FiveTuple, client: &FiveTuple) {
        if self.announced.get(to) == Some(client) {
            self.announced.remove(to);
        }
    }

    /// Whether a client that has lost its connection may come back.
    pub(super) fn may_return(&self, client: &FiveTuple) -> bool {
        self.mobiles.contains_key(client)
    }

    /// Forgets an announcement whose connection has ended.
    pub(super) fn forget_announcement(&mut self, to: &FiveTuple) {
        if let Some(from) = self.announced.remove(to)
            && let Some(mobile) = self.mobiles.get_mut(&from)
        {
            mobile.announcement = None;
        }
    }

    /// Forgets a client whose last allocation has ended.
    pub(super) fn remove(&mut self, client: &FiveTuple) {
        if let Some(mobile) = self.mobiles.remove(client) {
            self.by_ticket.remove(&mobile.ticket);
            if let Some(announcement) = mobile.announcement {
                self.forget(&announcement.to, client);
            }
        }
    }

    /// How many entries there are in each index.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [
            self.mobiles.len(),
            self.by_ticket.len(),
            self.announced.len(),
        ]
    }
}
