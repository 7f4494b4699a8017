//! Replies: what every request handler ends with.

use super::{DropReason, Outcome, Relay, ReplyBuffer};
use crate::Now;
use crate::addr::FiveTuple;
use crate::attribute::ErrorCode;
use crate::auth::Identity;
use crate::integrity::Signer;
use crate::message::{Class, Message, Writer};

/// Writes a success response signed with the request's key.
pub(super) fn success(
    request: &Message<'_>,
    identity: &Identity<'_>,
    reply: &mut ReplyBuffer,
    attributes: impl FnOnce(&mut Writer<'_>),
) -> Outcome {
    let mut writer = Writer::new(
        reply,
        Class::Success,
        request.method(),
        request.transaction(),
    );
    attributes(&mut writer);
    sent(writer.finish(Some(&identity.signer), request.has_fingerprint()))
}

/// Writes an error response. It is signed and has a reason phrase once the client is known.
pub(super) fn error(
    request: &Message<'_>,
    signer: Option<&Signer>,
    code: ErrorCode,
    reply: &mut ReplyBuffer,
) -> Outcome {
    error_with(request, signer, code, reply, |_| ())
}

/// An error response with more than its code.
pub(super) fn error_with(
    request: &Message<'_>,
    signer: Option<&Signer>,
    code: ErrorCode,
    reply: &mut ReplyBuffer,
    attributes: impl FnOnce(&mut Writer<'_>),
) -> Outcome {
    let mut writer = Writer::new(reply, Class::Error, request.method(), request.transaction());
    // A signer stands for an authenticated client, whose address is verified.
    match signer {
        Some(_) => writer.error_code(code),
        None => writer.bare_error_code(code),
    };
    attributes(&mut writer);
    sent(writer.finish(signer, request.has_fingerprint()))
}

pub(super) fn sent(length: Option<usize>) -> Outcome {
    Outcome::Reply(length.expect("MAX_REPLY_BYTES holds the largest reply"))
}

impl Relay {
    /// Tells a client that has not proven who it is what it needs for the next try
    /// (RFC 8489 section 9.2.4). 400 gets neither realm nor nonce.
    pub(super) fn challenge(
        &self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        code: ErrorCode,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        if !self.may_answer(now, client) {
            return Outcome::Drop(DropReason::OverBudget);
        }
        error_with(request, None, code, reply, |writer| {
            if code != ErrorCode::BadRequest {
                let length = request.bytes().len();
                self.settings
                    .authenticator
                    .challenge(writer, length, client, now.unix_s);
            }
        })
    }
}
