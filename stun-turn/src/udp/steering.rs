//! One receiving socket for all relayed ports: a small program in the kernel (BPF `sk_lookup`) says
//! for each datagram to a relayed address which worker's socket gets it. It asks a table of ports,
//! so that only what is allocated is taken; everything else of the host goes its usual way.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Relayed addresses that the program can tell apart.
const MAX_ADDRESSES: usize = 16;
const PORTS: u32 = 1 << 16;

// From the kernel's interface (linux/bpf.h).
const MAP_CREATE: c_int = 0;
const MAP_UPDATE: c_int = 2;
const PROGRAM_LOAD: c_int = 5;
const LINK_CREATE: c_int = 28;
const MAP_ARRAY: u32 = 2;
const MAP_SOCKETS: u32 = 15;
const PROGRAM_SK_LOOKUP: u32 = 30;
const ATTACH_SK_LOOKUP: u32 = 36;

/// The program with its tables. It is at work for as long as this lives.
#[derive(Debug)]
pub(crate) struct Steering {
    addresses: Vec<IpAddr>,
    /// For each address and port the number of a socket, plus one.
    ports: OwnedFd,
    _sockets: OwnedFd,
    _program: OwnedFd,
    _link: OwnedFd,
}

impl Steering {
    /// Takes datagrams to ports of these addresses, once they are steered, to `sockets`, which are
    /// bound.
    ///
    /// # Errors
    /// What the system says: mostly that the process lacks the rights.
    pub(crate) fn new(addresses: Vec<IpAddr>, sockets: &[BorrowedFd<'_>]) -> io::Result<Self> {
        if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
            let kind = io::ErrorKind::Unsupported;
            return Err(io::Error::new(kind, "expected 1 to 16 relay addresses"));
        }
        let count = |count: usize| u32::try_from(count).expect("few");
        let ports = create_map(MAP_ARRAY, PORTS * count(addresses.len()))?;
        let table = create_map(MAP_SOCKETS, count(sockets.len()))?;
        for (index, socket) in sockets.iter().enumerate() {
            let fd = u32::try_from(socket.as_raw_fd()).expect("open descriptors are positive");
            update(&table, count(index), fd)?;
        }
        let program = load(&write_program(
            &addresses,
            ports.as_raw_fd(),
            table.as_raw_fd(),
        ))?;
        let link = attach(&program)?;
        Ok(Self {
            addresses,
            ports,
            _sockets: table,
            _program: program,
            _link: link,
        })
    }

    /// Whether datagrams to this address can be steered.
    pub(crate) fn covers(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&ip)
    }

    /// From now on datagrams to `relayed` go to the socket of this number, or where they would
    /// without us.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn steer(&self, relayed: SocketAddr, socket: Option<u32>) -> io::Result<()> {
        let mut addresses = self.addresses.iter();
        let place = addresses.position(|ip| *ip == relayed.ip());
        let place = place.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let place = u32::try_from(place).expect("few") * PORTS + u32::from(relayed.port());
        update(&self.ports, place, socket.map_or(0, |socket| socket + 1))
    }
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// The system call with the attributes of one command.
fn bpf<T>(command: c_int, attributes: &T) -> io::Result<c_int> {
    // SAFETY: the attributes are the command's, of their true size; what they point to outlives the
    // call, and the kernel only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    match c_int::try_from(result) {
        Ok(result @ 0..) => Ok(result),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

fn descriptor(fd: RawFd) -> OwnedFd {
    // SAFETY: the system call has just made it, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

const fn unsigned(fd: RawFd) -> u32 {
    // Open descriptors are positive.
    fd.unsigned_abs()
}

fn create_map(kind: u32, max_entries: u32) -> io::Result<OwnedFd> {
    let attributes = MapCreate {
        kind,
        key_size: 4,
        value_size: 4,
        max_entries,
        flags: 0,
    };
    bpf(MAP_CREATE, &attributes).map(descriptor)
}

fn update(map: &OwnedFd, key: u32, value: u32) -> io::Result<()> {
    let attributes = MapUpdate {
        map: unsigned(map.as_raw_fd()),
        padding: 0,
        key: std::ptr::from_ref(&key).addr() as u64,
        value: std::ptr::from_ref(&value).addr() as u64,
        flags: 0,
    };
    bpf(MAP_UPDATE, &attributes).map(drop)
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut name = [0; 16];
    name[..9].copy_from_slice(b"stun_turn");
    let attributes = ProgramLoad {
        kind: PROGRAM_SK_LOOKUP,
        count: u32::try_from(program.len()).expect("few"),
        instructions: program.as_ptr().addr() as u64,
        license: license.as_ptr().addr() as u64,
        name,
        attach_type: ATTACH_SK_LOOKUP,
        ..ProgramLoad::default()
    };
    bpf(PROGRAM_LOAD, &attributes).map(descriptor)
}

/// In the network namespace of this thread, until the link is closed.
fn attach(program: &OwnedFd) -> io::Result<OwnedFd> {
    let namespace = File::open("/proc/thread-self/ns/net")?;
    let attributes = LinkCreate {
        program: unsigned(program.as_raw_fd()),
        target: unsigned(namespace.as_raw_fd()),
        attach_type: ATTACH_SK_LOOKUP,
        flags: 0,
    };
    bpf(LINK_CREATE, &attributes).map(descriptor)
}

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// Source register in the upper half, destination in the lower one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Operations of the kernel's virtual machine, by what they do.
const LOAD_WORD: u8 = 0x61;
const STORE_WORD: u8 = 0x63;
const LOAD_MAP: u8 = 0x18;
const SET: u8 = 0xB7;
const MOVE: u8 = 0xBF;
const ADD: u8 = 0x07;
const ADD_REGISTER: u8 = 0x0F;
const JUMP: u8 = 0x05;
const JUMP_IF_EQUAL: u8 = 0x15;
/// Compares the lower 32 bits.
const JUMP_UNLESS_WORD: u8 = 0x56;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

// Functions of the kernel.
const MAP_LOOKUP: i32 = 1;
const RELEASE: i32 = 86;
const ASSIGN: i32 = 124;

// Places in `struct bpf_sk_lookup`.
const FAMILY: i16 = 8;
const PROTOCOL: i16 = 12;
const LOCAL_IPV4: i16 = 40;
const LOCAL_IPV6: i16 = 44;
const LOCAL_PORT: i16 = 60;

const fn op(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    }
}

/// As C would have it:
/// ```c
/// if (ctx->protocol != UDP) return PASS;
/// if (ctx->local_ip == ADDRESS_0) place = 0; else if ... else return PASS;
/// number = ports[place * 65536 + ctx->local_port];
/// if (number == 0) return PASS;
/// sk = sockets[number - 1];
/// if (sk) { assign(ctx, sk, 0); release(sk); }
/// return PASS;
/// ```
/// Register 6 keeps the context, 7 the place and then the socket; the word below the stack's end is
/// the key for the tables.
fn write_program(addresses: &[IpAddr], ports: RawFd, sockets: RawFd) -> Vec<Instruction> {
    let choices: Vec<Vec<Instruction>> = (0_i32..).zip(addresses).map(choice).collect();
    let found = find_and_assign(ports, sockets);
    // The last two return.
    let end = found.len() - 2;
    let mut program = vec![op(MOVE, 6, 1, 0, 0), op(LOAD_WORD, 2, 6, PROTOCOL, 0)];
    let jump = |distance: usize| i16::try_from(distance).expect("a short program");
    let mut left: usize = choices.iter().map(Vec::len).sum();
    // Past the choices and the jump behind them, to the end.
    let to_end = jump(left + 1 + end);
    program.push(op(JUMP_UNLESS_WORD, 2, 0, to_end, libc::IPPROTO_UDP));
    for mut choice in choices {
        left -= choice.len();
        let last = choice.last_mut().expect("a choice ends with a jump");
        last.offset = jump(left + 1);
        program.extend(choice);
    }
    program.push(op(JUMP, 0, 0, jump(end), 0));
    program.extend(found);
    program
}

/// Sets register 7 and jumps (where to is still to be filled in) if the local address is this one,
/// else goes on behind.
fn choice((place, ip): (i32, &IpAddr)) -> Vec<Instruction> {
    let (family, first, words) = match ip {
        IpAddr::V4(ip) => (libc::AF_INET, LOCAL_IPV4, vec![ip.octets()]),
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            let words = octets.as_chunks().0.to_vec();
            (libc::AF_INET6, LOCAL_IPV6, words)
        }
    };
    let mut conditions = vec![(FAMILY, family)];
    for (word, offset) in words.iter().zip((first..).step_by(4)) {
        // As they lie in the packet.
        conditions.push((offset, i32::from_ne_bytes(*word)));
    }
    let mut choice = Vec::new();
    for (index, (offset, expected)) in conditions.iter().enumerate() {
        let behind = (conditions.len() - index) * 2;
        let behind = i16::try_from(behind).expect("a short program");
        choice.push(op(LOAD_WORD, 2, 6, *offset, 0));
        choice.push(op(JUMP_UNLESS_WORD, 2, 0, behind, *expected));
    }
    choice.push(op(SET, 7, 0, 0, place * PORTS.cast_signed()));
    choice.push(op(JUMP, 0, 0, 0, 0));
    choice
}

fn find_and_assign(ports: RawFd, sockets: RawFd) -> Vec<Instruction> {
    /// A table given by its descriptor.
    const BY_DESCRIPTOR: u8 = 1;
    const KEY: i16 = -4;
    let look_up = |map: RawFd| {
        [
            op(LOAD_MAP, 1, BY_DESCRIPTOR, 0, map),
            op(0, 0, 0, 0, 0),
            op(MOVE, 2, 10, 0, 0),
            op(ADD, 2, 0, 0, KEY.into()),
            op(CALL, 0, 0, 0, MAP_LOOKUP),
        ]
    };
    let mut program = vec![
        op(LOAD_WORD, 2, 6, LOCAL_PORT, 0),
        op(ADD_REGISTER, 7, 2, 0, 0),
        op(STORE_WORD, 10, 7, KEY, 0),
    ];
    program.extend(look_up(ports));
    // So many instructions lie between each jump and the last two.
    program.push(op(JUMP_IF_EQUAL, 0, 0, 17, 0));
    program.push(op(LOAD_WORD, 1, 0, 0, 0));
    program.push(op(JUMP_IF_EQUAL, 1, 0, 15, 0));
    program.push(op(ADD, 1, 0, 0, -1));
    program.push(op(STORE_WORD, 10, 1, KEY, 0));
    program.extend(look_up(sockets));
    program.push(op(JUMP_IF_EQUAL, 0, 0, 7, 0));
    program.extend([
        op(MOVE, 7, 0, 0, 0),
        op(MOVE, 1, 6, 0, 0),
        op(MOVE, 2, 7, 0, 0),
        op(SET, 3, 0, 0, 0),
        op(CALL, 0, 0, 0, ASSIGN),
        op(MOVE, 1, 7, 0, 0),
        op(CALL, 0, 0, 0, RELEASE),
        op(SET, 0, 0, 0, 1),
        op(EXIT, 0, 0, 0, 0),
    ]);
    program
}
