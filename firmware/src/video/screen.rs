//! INT 10h AH=05h to 0Ah, 0Eh and 13h: characters on the screen. IBM PS/2 and PC BIOS Interface Technical Reference,
//! "Interrupt 10h - Video".

use super::modes::{self, Memory, Mode};
use super::pixels::{self, Region};
use super::{crtc_port, cursor, registers};
use crate::bios::Call;
use crate::bios::bda;
use crate::platform::Platform;

/// The screen as rows and columns of characters.
pub(super) struct Screen {
    pub mode: Mode,
    pub columns: u8,
    pub rows: u8,
}

impl Screen {
    /// What the data area says; `None` in modes that are none of ours.
    pub fn current(io: &mut dyn Platform) -> Option<Screen> {
        let mode = modes::current(io)?;
        let columns = bda::VIDEO_COLUMNS.get(io).clamp(1, 255) as u8;
        let rows = bda::VIDEO_ROWS.get(io).saturating_add(1);
        Some(Screen { mode, columns, rows })
    }

    fn is_text(&self) -> bool {
        self.mode.memory == Memory::Text
    }

    /// The linear address at which `page` begins.
    fn page_start(&self, io: &mut dyn Platform, page: u8) -> u32 {
        let size = bda::VIDEO_PAGE_SIZE.get(io);
        (u32::from(self.mode.segment) << 4) + u32::from(size) * u32::from(page & 7)
    }

    /// The linear address of a character in a text mode.
    fn cell(&self, io: &mut dyn Platform, page: u8, row: u8, column: u8) -> u32 {
        let cell = u32::from(row) * u32::from(self.columns) + u32::from(column);
        self.page_start(io, page) + 2 * cell
    }

    /// Writes a character; in text modes without an attribute, the old one stays.
    fn put(
        &self,
        io: &mut dyn Platform,
        page: u8,
        row: u8,
        column: u8,
        character: u8,
        attribute: Option<u8>,
    ) {
        if !self.is_text() {
            return pixels::draw_character(
                io,
                &self.mode,
                page,
                row,
                column,
                character,
                attribute.unwrap_or(7),
            );
        }
        let at = self.cell(io, page, row, column);
        match attribute {
            Some(attribute) => io.put(at, u16::from_le_bytes([character, attribute])),
            None => io.put(at, character),
        }
    }

    /// Moves the rows of a region up, or down, and fills what becomes free with blanks.
    fn scroll(&self, io: &mut dyn Platform, page: u8, region: Region, lines: u8, down: bool, attribute: u8) {
        let region = Region {
            bottom: region.bottom.min(self.rows - 1),
            right: region.right.min(self.columns - 1),
            ..region
        };
        if region.top > region.bottom || region.left > region.right {
            return;
        }
        let height = region.bottom - region.top + 1;
        let lines = if lines == 0 { height } else { lines.min(height) };
        if !self.is_text() {
            return pixels::scroll(io, &self.mode, page, region, lines, down, attribute);
        }
        let width = usize::from(region.right - region.left + 1);
        let blank = [b' ', attribute].repeat(width);
        for n in 0..height {
            let row = if down { region.bottom - n } else { region.top + n };
            let to = self.cell(io, page, row, region.left);
            if n + lines < height {
                let from_row = if down { row - lines } else { row + lines };
                let from = self.cell(io, page, from_row, region.left);
                let cells = io.bytes(from, 2 * width);
                io.write(to, &cells);
            } else {
                io.write(to, &blank);
            }
        }
    }
}

/// AH=05h.
pub(super) fn select_page(io: &mut dyn Platform, page: u8) {
    let page = page & 7;
    let offset = bda::VIDEO_PAGE_SIZE.get(io).wrapping_mul(page.into());
    bda::VIDEO_PAGE.set(io, page);
    bda::VIDEO_PAGE_OFFSET.set(io, offset);
    let is_text = modes::current(io).is_some_and(|mode| mode.memory == Memory::Text);
    let start = if is_text { offset / 2 } else { offset };
    let crtc = crtc_port(io);
    let [high, low] = start.to_be_bytes();
    registers::write(io, crtc, 0x0C, high);
    registers::write(io, crtc, 0x0D, low);
    cursor::show(io);
}

/// AH=06h and 07h.
pub(super) fn scroll(call: &mut Call) {
    let Some(screen) = Screen::current(call.io) else { return };
    let regs = call.regs;
    let [top, left] = regs.cx().to_be_bytes();
    let [bottom, right] = regs.dx().to_be_bytes();
    let page = bda::VIDEO_PAGE.get(call.io);
    let region = Region { top, left, bottom, right };
    screen.scroll(call.io, page, region, regs.al(), regs.ah() == 0x07, regs.bh());
}

/// AH=08h: the character under the cursor, and its attribute.
pub(super) fn read_character(call: &mut Call) {
    let Some(screen) = Screen::current(call.io) else { return };
    let page = call.regs.bh();
    let [row, column] = cursor::position(call.io, page).to_be_bytes();
    let cell = if screen.is_text() {
        let at = screen.cell(call.io, page, row, column);
        call.get(at)
    } else {
        let character = pixels::read_character(call.io, &screen.mode, page, row, column);
        u16::from(character)
    };
    call.regs.set_ax(cell);
}

/// AH=09h and 0Ah: the same character CX times, with an attribute or without.
pub(super) fn write_characters(call: &mut Call) {
    let Some(screen) = Screen::current(call.io) else { return };
    let regs = call.regs;
    let page = regs.bh();
    let [row, column] = cursor::position(call.io, page).to_be_bytes();
    let attribute = (regs.ah() == 0x09 || !screen.is_text()).then_some(regs.bl());
    let (mut row, mut column) = (row, column.min(screen.columns - 1));
    for _ in 0..regs.cx() {
        if row >= screen.rows {
            return;
        }
        screen.put(call.io, page, row, column, regs.al(), attribute);
        column += 1;
        if column == screen.columns {
            (row, column) = (row + 1, 0);
        }
    }
}

/// What a character has done to the cursor.
struct Typed {
    position: u16,
    scrolled: bool,
}

/// Types a character at `position`: control characters move the cursor, and the last row scrolls.
fn type_character(
    io: &mut dyn Platform,
    screen: &Screen,
    page: u8,
    position: u16,
    character: u8,
    attribute: Option<u8>,
) -> Typed {
    const BELL: u8 = 0x07;
    const BACKSPACE: u8 = 0x08;
    const LINE_FEED: u8 = 0x0A;
    const CARRIAGE_RETURN: u8 = 0x0D;
    let [mut row, mut column] = position.to_be_bytes();
    match character {
        // Silent: a beep would keep the machine waiting.
        BELL => {}
        BACKSPACE => column = column.saturating_sub(1),
        LINE_FEED => row = row.saturating_add(1),
        CARRIAGE_RETURN => column = 0,
        _ => {
            let (row_shown, column_shown) = (row.min(screen.rows - 1), column.min(screen.columns - 1));
            screen.put(io, page, row_shown, column_shown, character, attribute);
            column = column_shown + 1;
            if column == screen.columns {
                (row, column) = (row.saturating_add(1), 0);
            }
        }
    }
    let scrolled = row >= screen.rows;
    if scrolled {
        row = screen.rows - 1;
        let blank = match screen.mode.memory {
            Memory::Text => {
                let at = screen.cell(io, page, row, column);
                attribute.unwrap_or_else(|| io.get(at + 1))
            }
            _ => 0,
        };
        let all = Region { top: 0, left: 0, bottom: row, right: screen.columns - 1 };
        screen.scroll(io, page, all, 1, false, blank);
    }
    Typed { position: u16::from_be_bytes([row, column]), scrolled }
}

/// AH=0Eh: types a character on the active page. `colour` counts in graphics modes.
pub(super) fn teletype(io: &mut dyn Platform, character: u8, colour: u8) {
    let Some(screen) = Screen::current(io) else { return };
    let page = bda::VIDEO_PAGE.get(io);
    let position = cursor::position(io, page);
    let attribute = (!screen.is_text()).then_some(colour);
    let typed = type_character(io, &screen, page, position, character, attribute);
    cursor::set_position(io, page, typed.position);
}

/// AH=13h, as much of it as takes not too long; CX, BP and DX move on, and the carry is set while there is more.
/// The ROM has saved the caller's registers.
pub(super) fn write_string(call: &mut Call) {
    const MOST_CHARACTERS: usize = 1024;
    const MOST_SCROLLS: usize = 4;
    const MOVE_CURSOR: u8 = 1;
    const WITH_ATTRIBUTES: u8 = 2;
    call.answer(false);
    let Some(screen) = Screen::current(call.io) else { return };
    let page = call.regs.bh();
    let what = call.regs.al();
    let mut scrolls = 0;
    for _ in 0..MOST_CHARACTERS {
        if call.regs.cx() == 0 || scrolls == MOST_SCROLLS {
            break;
        }
        let take = |call: &mut Call| {
            let at = call.es_at(call.regs.bp());
            call.regs.set_bp(call.regs.bp().wrapping_add(1));
            call.get::<u8>(at)
        };
        let character = take(call);
        let attribute = if what & WITH_ATTRIBUTES != 0 { take(call) } else { call.regs.bl() };
        let position = call.regs.dx();
        let typed = type_character(call.io, &screen, page, position, character, Some(attribute));
        scrolls += usize::from(typed.scrolled);
        call.regs.set_dx(typed.position);
        call.regs.set_cx(call.regs.cx() - 1);
    }
    if call.regs.cx() != 0 {
        return call.answer(true);
    }
    if what & MOVE_CURSOR != 0 {
        cursor::set_position(call.io, page, call.regs.dx());
    }
}
