//! Binding (RFC 8489 section 6.3.1): tells anybody their server-reflexive address, and nothing more,
//! so that the reply is as small as it can be.

use super::super::{DropReason, Outcome, Relay, ReplyBuffer, reply};
use super::refuse_unknown_attributes;
use crate::Now;
use crate::addr::FiveTuple;
use crate::attribute::kind;
use crate::message::{Class, Message, Writer};

impl Relay {
    pub(super) fn binding(
        &self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        buffer: &mut ReplyBuffer,
    ) -> Outcome {
        if let Some(refusal) = refuse_unknown_attributes(request, None, buffer) {
            return if self.may_answer(now, client) {
                refusal
            } else {
                Outcome::Drop(DropReason::OverBudget)
            };
        }
        let mut writer = Writer::new(
            buffer,
            Class::Success,
            request.method(),
            request.transaction(),
        );
        writer.xor_address(kind::XOR_MAPPED_ADDRESS, client.client);
        reply::sent(writer.finish(None, request.has_fingerprint()))
    }
}
