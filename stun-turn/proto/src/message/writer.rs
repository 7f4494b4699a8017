//! Writes a STUN message into a caller's buffer, without allocating.

use std::net::SocketAddr;

use super::{Class, Method, message_type};
use crate::attribute::{ErrorCode, Family, encode_address, encode_xor_address, kind};
use crate::header::{HEADER_LEN, MAGIC_COOKIE, TransactionId};
use crate::integrity::{self, Hash, Signer};

/// A message under construction. Padding is always zero, whatever the buffer held before.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    length: usize,
    transaction: TransactionId,
    overflown: bool,
}

impl<'b> Writer<'b> {
    /// Starts a message at the beginning of `buffer`.
    #[must_use]
    pub fn new(
        buffer: &'b mut [u8],
        class: Class,
        method: Method,
        transaction: TransactionId,
    ) -> Self {
        let mut writer = Self {
            buffer,
            length: 0,
            transaction,
            overflown: false,
        };
        writer.put(&message_type(class, method).to_be_bytes());
        writer.put(&[0, 0]);
        writer.put(&MAGIC_COOKIE.to_be_bytes());
        writer.put(&transaction.0);
        writer
    }

    /// Appends an attribute with its padding.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute_of_parts(kind, &[value])
    }

    /// Appends an attribute whose value lies in several pieces.
    pub fn attribute_of_parts(&mut self, kind: u16, parts: &[&[u8]]) -> &mut Self {
        let length = parts
            .iter()
            .map(|part| part.len())
            .fold(0, usize::saturating_add);
        let Ok(length_field) = u16::try_from(length) else {
            self.overflown = true;
            return self;
        };
        self.put(&kind.to_be_bytes());
        self.put(&length_field.to_be_bytes());
        for part in parts {
            self.put(part);
        }
        let padding = length.wrapping_neg() % 4;
        self.put([0; 3].get(..padding).unwrap_or_default());
        self
    }

    /// Appends XOR-MAPPED-ADDRESS, XOR-PEER-ADDRESS or XOR-RELAYED-ADDRESS.
    pub fn xor_address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let (value, length) = encode_xor_address(address, self.transaction);
        self.attribute(kind, value.get(..length).unwrap_or_default())
    }

    /// Appends an address as it is: ALTERNATE-SERVER and what RFC 5780 adds.
    pub fn address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let (value, length) = encode_address(address);
        self.attribute(kind, value.get(..length).unwrap_or_default())
    }

    /// Appends ERROR-CODE without a reason phrase, for unauthenticated clients: the code says it, and
    /// every byte of such a reply is a byte of amplification.
    pub fn bare_error_code(&mut self, code: ErrorCode) -> &mut Self {
        let [class, number] = code.digits();
        self.attribute(kind::ERROR_CODE, &[0, 0, class, number])
    }

    /// Appends ERROR-CODE with its reason phrase (RFC 8489 section 14.8).
    pub fn error_code(&mut self, code: ErrorCode) -> &mut Self {
        self.explained(kind::ERROR_CODE, 0, code)
    }

    /// Appends ADDRESS-ERROR-CODE: why there is no relayed address of this family
    /// (RFC 8656 section 18.12).
    pub fn address_error_code(&mut self, family: Family, code: ErrorCode) -> &mut Self {
        self.explained(kind::ADDRESS_ERROR_CODE, family.byte(), code)
    }

    fn explained(&mut self, kind: u16, first: u8, code: ErrorCode) -> &mut Self {
        let [class, number] = code.digits();
        let phrase = code.reason_phrase().as_bytes();
        self.attribute_of_parts(kind, &[&[first, 0, class, number], phrase])
    }

    /// Appends only the header of an attribute whose `length` bytes of value already lie behind the
    /// buffer; end the message with [`Writer::finish_before`].
    pub fn open_attribute(&mut self, kind: u16, length: u16) -> &mut Self {
        self.put(&kind.to_be_bytes());
        self.put(&length.to_be_bytes());
        self
    }

    /// Fills in the length of a message of which `more` bytes lie behind the buffer. `None` when
    /// the buffer was too small or the message is too long.
    #[must_use]
    pub fn finish_before(mut self, more: usize) -> Option<()> {
        self.set_length_with(more);
        (!self.overflown).then_some(())
    }

    /// Appends the signer's integrity attribute and FINGERPRINT where asked for, fills in the length
    /// and returns it. `None` when the buffer was too small.
    #[must_use]
    pub fn finish(mut self, signer: Option<&Signer>, fingerprint: bool) -> Option<usize> {
        if let Some(Signer { key, hash }) = signer {
            self.sign(key.as_bytes(), *hash);
        }
        if fingerprint {
            self.set_length_with(integrity::FINGERPRINT_ATTRIBUTE_LEN);
            let crc = integrity::fingerprint(self.written());
            self.attribute(kind::FINGERPRINT, &crc.to_be_bytes());
        }
        self.set_length_with(0);
        (!self.overflown).then_some(self.length)
    }

    fn sign(&mut self, key: &[u8], hash: Hash) {
        match hash {
            Hash::Sha1 => {
                self.set_length_with(integrity::SHA1_ATTRIBUTE_LEN);
                let hmac = integrity::hmac_sha1(key, &[self.written()]);
                self.attribute(kind::MESSAGE_INTEGRITY, &hmac);
            }
            Hash::Sha256 => {
                self.set_length_with(integrity::SHA256_ATTRIBUTE_LEN);
                let hmac = integrity::hmac_sha256(key, &[self.written()]);
                self.attribute(kind::MESSAGE_INTEGRITY_SHA256, &hmac);
            }
        }
    }

    fn written(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// Writes the length field as if `more` bytes followed what is there.
    fn set_length_with(&mut self, more: usize) {
        let body = self.length.saturating_add(more).saturating_sub(HEADER_LEN);
        match (u16::try_from(body), self.buffer.get_mut(2..4)) {
            (Ok(body), Some(field)) => field.copy_from_slice(&body.to_be_bytes()),
            _ => self.overflown = true,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.buffer.get_mut(self.length..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            None => self.overflown = true,
        }
    }
}
