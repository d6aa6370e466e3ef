//! What a firmware service sees of the machine: registers, memory, ports and time.

/// The registers of the interrupted program, in real or virtual-8086 mode.
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
    /// EFLAGS.
    pub eflags: u32,
    /// CS.
    pub cs: u16,
    /// DS.
    pub ds: u16,
    /// ES.
    pub es: u16,
    /// SS.
    pub ss: u16,
    /// FS.
    pub fs: u16,
    /// GS.
    pub gs: u16,
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

    /// Lets `nanoseconds` of guest time pass for the devices while the processor waits in the service.
    fn wait(&mut self, nanoseconds: u64);
}
