//! Binding (RFC 8489 section 6.3.1): tells anybody their server-reflexive address, and nothing more,
//! so that the reply is as small as it can be. Where discovery of NAT behaviour is offered, the
//! reply says more and may leave from elsewhere (RFC 5780).

use super::super::{DropReason, Outcome, Relay, ReplyBuffer, reply};
use super::refuse_unknown_attributes;
use crate::Now;
use crate::addr::{FiveTuple, Transport};
use crate::attribute::{ErrorCode, kind};
use crate::message::{Class, Message, Writer};
use crate::nat_discovery::{self, Answer};

impl Relay {
    pub(super) fn binding(
        &self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        buffer: &mut ReplyBuffer,
    ) -> Outcome {
        let answer = self.discovery_answer(client, request);
        let known: &[u16] = if answer.is_some() {
            &nat_discovery::UNDERSTOOD
        } else {
            &[]
        };
        let refusal = refuse_unknown_attributes(request, known, None, buffer);
        let is_redirected = known
            .iter()
            .any(|attribute| request.first(*attribute).is_some());
        if (refusal.is_some() || is_redirected) && !self.may_answer(now, client) {
            return Outcome::Drop(DropReason::OverBudget);
        }
        match (refusal, answer) {
            (Some(refusal), _) => refusal,
            (None, Some(Err(code))) => reply::error(request, None, code, buffer),
            (None, Some(Ok(answer))) => bound(client, request, Some(answer), buffer),
            (None, None) => bound(client, request, None, buffer),
        }
    }

    /// `None` where discovery is not offered.
    fn discovery_answer(
        &self,
        client: &FiveTuple,
        request: &Message<'_>,
    ) -> Option<Result<Answer, ErrorCode>> {
        let discovery = self.settings.nat_discovery.as_ref()?;
        let is_offered = client.transport == Transport::Udp && discovery.is_at(client.server);
        is_offered.then(|| discovery.answer(request, client.client, client.server))
    }
}

fn bound(
    client: &FiveTuple,
    request: &Message<'_>,
    answer: Option<Answer>,
    buffer: &mut ReplyBuffer,
) -> Outcome {
    let mut writer = Writer::new(
        buffer,
        Class::Success,
        request.method(),
        request.transaction(),
    );
    writer.xor_address(kind::XOR_MAPPED_ADDRESS, client.client);
    if let Some(answer) = answer {
        writer.address(kind::RESPONSE_ORIGIN, answer.from);
        writer.address(kind::OTHER_ADDRESS, answer.other);
    }
    let outcome = reply::sent(writer.finish(None, request.has_fingerprint()));
    match (outcome, answer) {
        (Outcome::Reply(reply), Some(Answer { from, to, .. })) => {
            Outcome::ReplyFrom { reply, from, to }
        }
        (outcome, _) => outcome,
    }
}
