//! What tickets are worth, and for how long.

use std::time::Duration;

use signaling_proto::id::PeerId;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Role, Welcome};
use signaling_proto::ticket;

use super::{kinds, welcomed};
use crate::world::{CONFIG, World};

const HOUR: Duration = Duration::from_secs(3600);

/// Comes back and is refused.
fn assert_over(world: &mut World, welcome: &Welcome) {
    let late = world.resume(welcome, 0, None);
    world.assert_refused(late, ErrorCode::ResumeFailed);
}

#[test]
fn a_connected_client_always_has_a_ticket_that_the_next_process_takes() {
    let mut world = World::new(CONFIG);
    let (connection, first) = world.enter(r#""room":"r""#);
    world.pass(HOUR);
    assert_eq!(kinds(&world.take(connection)), ["ice_servers"; 12]);
    let newest = world.with_newest_ticket(connection, &first);
    assert_ne!(newest.ticket, first.ticket);
    world.crash();
    assert_over(&mut world, &first);
    world.pass(CONFIG.resume_window);
    let (_, back) = world.resumed(&newest, 12, None);
    assert_eq!((back.peer, back.role), (first.peer, Role::Host));
}

#[test]
fn a_ticket_is_worth_no_more_than_its_peer_could_be_waited_for() {
    let mut world = World::new(CONFIG);
    let (connection, welcome) = world.enter(r#""room":"r""#);
    world.break_off(connection);
    world.crash();
    world.pass(ticket::lifetime(CONFIG.resume_window));
    assert_over(&mut world, &welcome);
    assert!(ticket::lifetime(CONFIG.resume_window) <= CONFIG.resume_window + ticket::REFRESH * 2);
}

/// An old client never takes the new tickets.
#[test]
fn a_session_that_is_there_takes_a_ticket_whatever_the_clock_says() {
    let mut world = World::new(CONFIG);
    let (connection, first) = world.enter(r#""room":"r""#);
    world.pass(HOUR);
    world.take(connection);
    world.break_off(connection);
    let (_, back) = world.resumed(&first, 12, None);
    assert_eq!(back.peer, first.peer);
}

#[test]
fn goodbyes_and_kicks_hold_over_a_restart() {
    let mut world = World::new(CONFIG);
    let [host, gone, kicked] = welcomed(&mut world, 3).try_into().unwrap();
    world.say(gone.0, r#"{"type":"bye"}"#);
    let peer = &kicked.1.peer;
    world.say(
        host.0,
        &format!(r#"{{"type":"moderate","id":1,"action":"kick","peer":"{peer}"}}"#),
    );
    let known: Vec<_> = world.ended.iter().map(|ended| ended.peer.clone()).collect();
    assert_eq!(known, [gone.1.peer.clone(), peer.clone()]);
    for _ in 0..2 {
        world.restart();
        assert_over(&mut world, &gone.1);
        let late = world.resume(&kicked.1, 0, None);
        world.assert_refused(late, ErrorCode::Forbidden);
    }
    world.resumed(&host.1, 0, None);
    // What is remembered does not outlive the tickets.
    world.pass(ticket::lifetime(CONFIG.resume_window) * 2);
    world.restart();
    assert_over(&mut world, &kicked.1);
}

#[test]
fn who_was_away_too_long_from_a_locked_room_is_locked_out_after_a_restart_too() {
    for locked in [true, false] {
        let mut world = World::new(CONFIG);
        let [host, late] = welcomed(&mut world, 2).try_into().unwrap();
        if locked {
            world.say(host.0, r#"{"type":"moderate","id":1,"action":"lock"}"#);
        }
        world.break_off(late.0);
        world.pass(CONFIG.resume_window);
        world.restart();
        if locked {
            assert_over(&mut world, &late.1);
        } else {
            // Somewhere else it may have gone on meanwhile.
            world.resumed(&late.1, 0, None);
        }
    }
}

#[test]
fn no_process_takes_over_a_session_whose_token_has_expired() {
    let mut world = World::new(CONFIG);
    let (connection, welcome) = world.enter(r#""room":"r","token":"host""#);
    world.pass(HOUR - Duration::from_secs(1));
    let newest = world.with_newest_ticket(connection, &welcome);
    let mut elsewhere = world.another();
    std::mem::swap(&mut world.hub, &mut elsewhere);
    world.pass(Duration::from_secs(2));
    assert_over(&mut world, &newest);
    // The process that has the session keeps it: a token's end interrupts no call.
    std::mem::swap(&mut world.hub, &mut elsewhere);
    let (_, back) = world.resumed(&newest, 0, None);
    assert_eq!(back.role, Role::Host);
    assert!(
        back.ice_servers.is_empty(),
        "but it gets no new credentials"
    );
}

#[test]
fn credentials_are_not_renewed_beyond_the_token() {
    let mut world = World::new(CONFIG);
    let (connection, welcome) = world.enter(r#""room":"r","token":"participant""#);
    let began = welcome.ice_servers[0].expires_at.unwrap() - 600;
    world.pass(HOUR * 2);
    let expiries: Vec<_> = world
        .take(connection)
        .iter()
        .map(|message| match message {
            ServerMessage::IceServers(renewed) => {
                renewed.ice_servers[0].expires_at.unwrap() - began
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        expiries,
        [900, 1200, 1500, 1800, 2100, 2400, 2700, 3000, 3300, 3600]
    );
}

/// The room's host when all of these have come back.
fn host_of(world: &mut World, back: &[&Welcome]) -> PeerId {
    let mut connections = Vec::new();
    for welcome in back {
        connections.push(world.resumed(welcome, 9, None).0);
    }
    let (_, seen) = world.enter(r#""room":"r","role":"viewer""#);
    let peers = seen.room.peers.into_iter();
    let hosts: Vec<_> = peers.filter(|peer| peer.role == Role::Host).collect();
    let [host] = hosts.as_slice() else {
        panic!("one host: {hosts:?}")
    };
    host.peer.clone()
}

/// A room whose first host has left without a goodbye, so that another one was made host.
fn two_hosts() -> (World, Welcome, Welcome) {
    let mut world = World::new(CONFIG);
    let [first, second] = welcomed(&mut world, 2).try_into().unwrap();
    world.pass(Duration::from_secs(1));
    world.break_off(first.0);
    world.pass(CONFIG.resume_window);
    let second = world.with_newest_ticket(second.0, &second.1);
    world.crash();
    (world, first.1, second)
}

#[test]
fn of_adopted_hosts_the_one_who_became_it_last_is_host() {
    for order in [[0, 1], [1, 0]] {
        let (mut world, first, second) = two_hosts();
        let both = [&first, &second];
        let host = host_of(&mut world, &order.map(|at| both[at]));
        assert_eq!(host, second.peer, "{order:?}");
    }
}

#[test]
fn who_was_only_faster_than_the_host_is_none_when_that_is_back() {
    let mut world = World::new(CONFIG);
    let (_, host) = world.enter(r#""room":"r""#);
    world.crash();
    let (faster, welcome) = world.enter(r#""room":"r""#);
    assert_eq!(welcome.role, Role::Host);
    assert_eq!(host_of(&mut world, &[&host]), host.peer);
    let own = world
        .take(faster)
        .into_iter()
        .find_map(|message| match message {
            ServerMessage::PeerUpdated(updated) if updated.peer.peer == welcome.peer => {
                Some(updated.peer.role)
            }
            _ => None,
        });
    assert_eq!(own, Some(Role::Participant), "it is told");
}

/// With the ticket from before it had been demoted it was host again after the next restart.
#[test]
fn who_has_yielded_is_not_host_again_with_an_older_ticket() {
    for order in [[0, 1], [1, 0]] {
        let mut world = World::new(CONFIG);
        let (_, host) = world.enter(r#""room":"r""#);
        world.pass(Duration::from_secs(1));
        world.crash();
        let (_, faster) = world.enter(r#""room":"r""#);
        let (connection, back) = world.resumed(&host, 0, None);
        let host = world.with_newest_ticket(connection, &back);
        world.crash();
        let both = [&host, &faster];
        assert_eq!(host_of(&mut world, &order.map(|at| both[at])), host.peer);
    }
}

#[test]
fn a_token_s_word_is_a_better_claim() {
    let mut world = World::new(CONFIG);
    let (_, elected) = world.enter(r#""room":"r""#);
    world.crash();
    let (_, granted) = world.enter(r#""room":"r","token":"host""#);
    assert_eq!(host_of(&mut world, &[&elected]), granted.peer);
    // Also over a restart, in either order.
    world.crash();
    assert_eq!(host_of(&mut world, &[&elected, &granted]), granted.peer);
}
