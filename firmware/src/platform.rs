//! What a firmware service sees of the machine: registers, memory, ports and time.

/// A segment register: the selector, and the linear address at which the segment begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The visible part.
    pub selector: u16,
    /// Linear address of offset 0.
    pub base: u32,
}

impl Segment {
    /// As real and virtual-8086 mode load `selector`.
    pub const fn real(selector: u16) -> Self {
        Segment { selector, base: (selector as u32) << 4 }
    }

    /// The linear address of `offset`.
    pub const fn at(self, offset: u32) -> u32 {
        self.base.wrapping_add(offset)
    }
}

/// The registers of the program that called.
///
/// A service that loads a segment register does so with [`Segment::real`]; in protected mode it leaves them as
/// they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
    /// ESI.
    pub esi: u32,
    /// EDI.
    pub edi: u32,
    /// EBP.
    pub ebp: u32,
    /// ESP.
    pub esp: u32,
    /// EIP: where execution goes on when the service is done.
    pub eip: u32,
    /// EFLAGS. A service changes the arithmetic flags only.
    pub eflags: u32,
    /// CS.
    pub cs: Segment,
    /// DS.
    pub ds: Segment,
    /// ES.
    pub es: Segment,
    /// SS.
    pub ss: Segment,
    /// FS.
    pub fs: Segment,
    /// GS.
    pub gs: Segment,
}

/// Names for parts of registers: the 16-bit register, and its halves where they have names.
macro_rules! parts {
    ($($full:ident: $word:ident $set_word:ident $(, $high:ident $set_high:ident $low:ident $set_low:ident)?;)*) => {
        #[allow(missing_docs)]
        impl Registers {
            $(
                pub const fn $word(&self) -> u16 {
                    self.$full as u16
                }
                pub const fn $set_word(&mut self, value: u16) {
                    self.$full = self.$full & 0xFFFF_0000 | value as u32;
                }
                $(
                    pub const fn $high(&self) -> u8 {
                        (self.$full >> 8) as u8
                    }
                    pub const fn $set_high(&mut self, value: u8) {
                        self.$full = self.$full & 0xFFFF_00FF | (value as u32) << 8;
                    }
                    pub const fn $low(&self) -> u8 {
                        self.$full as u8
                    }
                    pub const fn $set_low(&mut self, value: u8) {
                        self.$full = self.$full & 0xFFFF_FF00 | value as u32;
                    }
                )?
            )*
        }
    };
}

parts! {
    eax: ax set_ax, ah set_ah al set_al;
    ebx: bx set_bx, bh set_bh bl set_bl;
    ecx: cx set_cx, ch set_ch cl set_cl;
    edx: dx set_dx, dh set_dh dl set_dl;
    esi: si set_si;
    edi: di set_di;
    ebp: bp set_bp;
    esp: sp set_sp;
}

/// The machine, as a firmware service sees it.
///
/// Memory is addressed linearly and goes through the guest's own page tables where paging is on (a program in
/// virtual-8086 mode may have moved it): what is not mapped reads as ones and swallows writes.
pub trait Platform {
    /// The guest's registers, to be read and changed.
    fn registers(&mut self) -> &mut Registers;

    /// Copies guest memory at linear address `from` into `buffer`.
    fn read(&mut self, from: u32, buffer: &mut [u8]);

    /// Copies `bytes` into guest memory at linear address `to`.
    fn write(&mut self, to: u32, bytes: &[u8]);

    /// The physical address behind linear address `linear`, for bus masters; `None` if the page is not mapped.
    fn physical(&mut self, linear: u32) -> Option<u64>;

    /// Reads a port; `size` is 1, 2 or 4 bytes.
    fn port_in(&mut self, port: u16, size: usize) -> u32;

    /// Writes a port.
    fn port_out(&mut self, port: u16, size: usize, value: u32);

    /// Reads 16-bit words from one port until `buffer` is full: the data register of a disk.
    fn port_in_words(&mut self, port: u16, buffer: &mut [u8]) {
        for pair in buffer.chunks_exact_mut(2) {
            let word = self.port_in(port, 2);
            pair.copy_from_slice(&(word as u16).to_le_bytes());
        }
    }

    /// Writes 16-bit words to one port.
    fn port_out_words(&mut self, port: u16, bytes: &[u8]) {
        for pair in bytes.chunks_exact(2) {
            self.port_out(port, 2, u16::from_le_bytes([pair[0], pair[1]]) as u32);
        }
    }

    /// Guest time since power-on, in nanoseconds.
    fn now(&mut self) -> u64;

    /// Lets `nanoseconds` of guest time pass for the devices, and bus masters do what they were asked for,
    /// while the processor waits in the service.
    fn wait(&mut self, nanoseconds: u64);
}

/// A number that memory holds, little-endian.
pub(crate) trait Number: Copy {
    /// Reads it at linear address `at`.
    fn read(io: &mut dyn Platform, at: u32) -> Self;
    /// Writes it there.
    fn write(self, io: &mut dyn Platform, at: u32);
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn read(io: &mut dyn Platform, at: u32) -> Self {
                let mut bytes = [0; size_of::<$type>()];
                io.read(at, &mut bytes);
                <$type>::from_le_bytes(bytes)
            }
            fn write(self, io: &mut dyn Platform, at: u32) {
                io.write(at, &self.to_le_bytes());
            }
        }
    )*};
}
number!(u8 u16 u32 u64);

/// Single numbers in memory, and accesses to ports by width.
impl dyn Platform + '_ {
    /// Reads a number at linear address `at`.
    pub(crate) fn get<T: Number>(&mut self, at: u32) -> T {
        T::read(self, at)
    }

    /// Writes a number at linear address `at`.
    pub(crate) fn put<T: Number>(&mut self, at: u32, value: T) {
        value.write(self, at);
    }

    /// Copies `length` bytes at `from` out of guest memory.
    pub(crate) fn bytes(&mut self, from: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read(from, &mut bytes);
        bytes
    }

    /// Fills `length` bytes at `to`.
    pub(crate) fn fill(&mut self, to: u32, length: u32, byte: u8) {
        const PIECE: u32 = 4096;
        let piece = [byte; PIECE as usize];
        let mut done = 0;
        while done < length {
            let count = PIECE.min(length - done);
            self.write(to.wrapping_add(done), &piece[..count as usize]);
            done += count;
        }
    }

    pub(crate) fn in8(&mut self, port: u16) -> u8 {
        self.port_in(port, 1) as u8
    }

    pub(crate) fn in16(&mut self, port: u16) -> u16 {
        self.port_in(port, 2) as u16
    }

    pub(crate) fn in32(&mut self, port: u16) -> u32 {
        self.port_in(port, 4)
    }

    pub(crate) fn out8(&mut self, port: u16, value: u8) {
        self.port_out(port, 1, value.into());
    }

    pub(crate) fn out16(&mut self, port: u16, value: u16) {
        self.port_out(port, 2, value.into());
    }

    pub(crate) fn out32(&mut self, port: u16, value: u32) {
        self.port_out(port, 4, value);
    }

    /// Waits in steps of `step` nanoseconds until `done` says so, at most `limit` nanoseconds of guest time.
    /// Gives whether it did.
    pub(crate) fn wait_until(
        &mut self,
        limit: u64,
        step: u64,
        mut done: impl FnMut(&mut dyn Platform) -> bool,
    ) -> bool {
        let end = self.now().saturating_add(limit);
        loop {
            if done(self) {
                return true;
            }
            if self.now() >= end {
                return false;
            }
            self.wait(step.max(1));
        }
    }
}
