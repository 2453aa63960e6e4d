//! Where in a function a probe costs least. The kernel carries out some instructions itself when a probe is hit, and for the others
//! lets the thread run a copy of them, step by step: that is a second exception (docs/bench.md has what it costs). So a probe is put on
//! the first instruction of the first kind, as long as all arguments are still where they were at the function's entry. Pure.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register,
};

use super::elf::Place;

/// Bytes of a function that are looked at.
pub const CODE_BYTES: u64 = 64;

/// Bytes between a function's entry and the place for its probe; 0 where there is no better one.
pub fn probe_at(code: &[u8], place: Place) -> u64 {
    let arguments: &[Register] = match place {
        Place::LibraryWrite | Place::RustlsWrite | Place::RustlsWritePieces => {
            &[Register::RDI, Register::RSI, Register::RDX]
        }
        Place::LibraryFree => &[Register::RDI],
        Place::GoWrite => &[Register::RAX, Register::RBX, Register::RCX, Register::R14],
    };
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut facts = InstructionInfoFactory::new();
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        let at = decoder.position();
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            return 0;
        }
        if code.get(at..).is_some_and(is_emulated) {
            return u64::try_from(at).unwrap_or_default();
        }
        let info = facts.info(&instruction);
        let changes = |access| {
            !matches!(
                access,
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            )
        };
        let loses_argument = info.used_registers().iter().any(|used| {
            changes(used.access()) && arguments.contains(&used.register().full_register())
        });
        if loses_argument || instruction.flow_control() != FlowControl::Next {
            return 0;
        }
    }
    0
}

/// Whether the kernel carries the instruction out itself (arch/x86/kernel/uprobes.c, 6.3: `branch_setup_xol_ops`,
/// `push_setup_xol_ops`). Calls are left out: with shadow stacks it does not on every kernel.
fn is_emulated(code: &[u8]) -> bool {
    match code {
        [0x50..=0x57 | 0x70..=0x7f | 0x90 | 0xe9 | 0xeb, ..] => true,
        [0x41, second, ..] => matches!(second, 0x50..=0x57),
        [0x0f, second, ..] => matches!(second, 0x80..=0x8f),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_stand_where_arguments_still_are() {
        let openssl3 = [
            0x48, 0x83, 0xec, 0x18, // sub $0x18,%rsp
            0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, // mov %fs:0x28,%rax
            0x48, 0x89, 0x44, 0x24, 0x08, // mov %rax,0x8(%rsp)
            0x31, 0xc0, // xor %eax,%eax
            0x85, 0xd2, // test %edx,%edx
            0x78, 0x2f, // js
        ];
        let go = [
            0x49, 0x3b, 0x66, 0x10, // cmp 0x10(%r14),%rsp
            0x0f, 0x86, 0x70, 0x05, 0, 0, // jbe
        ];
        for (code, place, expected) in [
            (&openssl3[..], Place::LibraryWrite, 22),
            (&go, Place::GoWrite, 4),
            // endbr64; push %r13.
            (
                &[0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x55],
                Place::LibraryWrite,
                4,
            ),
            (&[0x53], Place::LibraryFree, 0),
            // test %rdi,%rdi; je.
            (&[0x48, 0x85, 0xff, 0x74, 0x10], Place::LibraryFree, 3),
            // mov %rsi,%rax; push: nothing of it is an argument of OpenSSL, and one of Go.
            (&[0x48, 0x89, 0xf0, 0x53], Place::LibraryWrite, 3),
            (&[0x48, 0x89, 0xf0, 0x53], Place::GoWrite, 0),
            // movslq %edx,%rdx; xor %edi,%edi; call; ret; nothing; no instruction.
            (&[0x48, 0x63, 0xd2, 0x53], Place::LibraryWrite, 0),
            (&[0x31, 0xff, 0x53], Place::LibraryFree, 0),
            (&[0xe8, 0, 0, 0, 0, 0x53], Place::LibraryWrite, 0),
            (&[0xc3, 0x53], Place::LibraryWrite, 0),
            (&[], Place::LibraryWrite, 0),
            (&[0x48], Place::LibraryWrite, 0),
            (&[0x06, 0x53], Place::LibraryWrite, 0),
        ] {
            assert_eq!(probe_at(code, place), expected, "{code:x?}");
        }
    }
}
