//! Pages between a socket and memory without a copy in between: the system copies them once.

#![allow(unsafe_code)]

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use super::{Memory, PAGE};

/// What the system takes in one call: pieces of memory, one after another.
struct Pieces(Vec<libc::iovec>);

impl Pieces {
    /// What lies at `pages`; those that follow each other in memory are one piece.
    fn of(memory: &Memory, pages: &[u32]) -> Pieces {
        let mut pieces = Pieces(Vec::with_capacity(pages.len() + 1));
        for page in pages {
            let start: *const _ = memory.words(*page as usize);
            pieces.push(start.cast_mut().cast(), PAGE);
        }
        pieces
    }

    fn push(&mut self, start: *mut libc::c_void, length: usize) {
        match self.0.last_mut() {
            Some(last) if last.iov_base.wrapping_byte_add(last.iov_len) == start => last.iov_len += length,
            _ => self.0.push(libc::iovec { iov_base: start, iov_len: length }),
        }
    }

    /// Has the system give all of them memory: many pages at once cost less than a fault for each. One that
    /// cannot do so refuses, and gives them one by one.
    fn populate(&self) {
        for piece in &self.0 {
            // SAFETY: the piece lies within the mapping, and no content changes.
            unsafe { libc::madvise(piece.iov_base, piece.iov_len, libc::MADV_POPULATE_WRITE) };
        }
    }

    /// Takes away what `call` did of them until nothing is left.
    fn exhaust(mut self, mut call: impl FnMut(&mut libc::msghdr) -> isize) -> io::Result<()> {
        let mut left = &mut self.0[..];
        while !left.is_empty() {
            // SAFETY: a message of zeros is one without address, control data and pieces.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            (message.msg_iov, message.msg_iovlen) = (left.as_mut_ptr(), left.len());
            match call(&mut message) {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                done if done > 0 => left = without_first(left, done as usize),
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

fn without_first(mut left: &mut [libc::iovec], mut done: usize) -> &mut [libc::iovec] {
    while let Some(first) = left.first_mut() {
        if done < first.iov_len {
            first.iov_base = first.iov_base.wrapping_byte_add(done);
            first.iov_len -= done;
            break;
        }
        done -= first.iov_len;
        left = &mut left[1..];
    }
    left
}

impl Memory {
    /// Sends `head`, and after it the contents of `pages` as they are when the system comes to them.
    ///
    /// # Errors
    ///
    /// [`io::Error`] where the connection fails, or nothing goes for as long as its time limit says.
    ///
    /// # Panics
    ///
    /// If there are no such pages.
    pub fn send_pages(&self, socket: &TcpStream, head: &[u8], pages: &[u32]) -> io::Result<()> {
        let mut pieces = Pieces::of(self, pages);
        let head = libc::iovec { iov_base: head.as_ptr().cast_mut().cast(), iov_len: head.len() };
        pieces.0.insert(0, head);
        let socket = socket.as_raw_fd();
        // SAFETY: the pieces lie within `head` and within the mapping, which both outlive the call; the
        // system only reads them. What a guest writes meanwhile may come torn, and is sent again.
        pieces.exhaust(|message| unsafe { libc::sendmsg(socket, message, libc::MSG_NOSIGNAL) })
    }

    /// Has the contents of `pages` come from `socket`, one after another, into their places.
    ///
    /// # Errors
    ///
    /// [`io::Error`] where the connection fails, or nothing comes for as long as its time limit says.
    ///
    /// # Panics
    ///
    /// If there are no such pages.
    pub fn receive_pages(&self, socket: &TcpStream, pages: &[u32]) -> io::Result<()> {
        let pieces = Pieces::of(self, pages);
        pieces.populate();
        let socket = socket.as_raw_fd();
        // SAFETY: the pieces lie within the mapping, which outlives the call. Nothing in this program
        // holds a reference to it but to atomics, so that the system may write it as any device would.
        pieces.exhaust(|message| unsafe { libc::recvmsg(socket, message, libc::MSG_WAITALL) })
    }

    /// Replaces the contents of `pages` by `from`, which has them one after another.
    ///
    /// # Panics
    ///
    /// If there are no such pages.
    pub fn write_pages(&self, pages: &[u32], from: &[u8]) {
        Pieces::of(self, pages).populate();
        for (page, content) in pages.iter().zip(from.chunks_exact(PAGE)) {
            self.write_page(*page as usize, content);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::Ordering;

    use sim_core::Pages;

    use crate::memory::{Memory, PAGE};

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    /// More pages than a socket holds at once, in rows and scattered, some at other places than before.
    #[test]
    fn pages_come_into_their_places() {
        let (from, to) = (Memory::new(Pages::new(2000)).unwrap(), Memory::new(Pages::new(2000)).unwrap());
        for page in 0..2000 {
            from.words(page)[7].store(page as u64 + 1, Ordering::Relaxed);
        }
        let pages: Vec<u32> = (100..900).chain([7, 5, 6, 1999, 0]).chain((1000..1998).step_by(2)).collect();
        let (out, into) = connected();
        std::thread::scope(|scope| {
            scope.spawn(|| from.send_pages(&out, b"head", &pages).unwrap());
            let mut head = [0; 4];
            std::io::Read::read_exact(&mut &into, &mut head).unwrap();
            assert_eq!(&head, b"head");
            to.receive_pages(&into, &pages).unwrap();
        });
        for page in 0..2000 {
            let came = pages.contains(&(page as u32));
            let expected = if came { page as u64 + 1 } else { 0 };
            assert_eq!(to.words(page)[7].load(Ordering::Relaxed), expected, "page {page}");
        }
    }

    #[test]
    fn a_connection_that_ends_within_a_page_is_an_error() {
        let memory = Memory::new(Pages::new(4)).unwrap();
        let (out, into) = connected();
        std::io::Write::write_all(&mut &out, &[1; PAGE + 100]).unwrap();
        drop(out);
        let error = memory.receive_pages(&into, &[0, 1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        drop(into);
        let (out, into) = connected();
        drop(into);
        let all: Vec<u32> = (0..4).collect();
        let sent = (0..1000).try_for_each(|_| memory.send_pages(&out, &[], &all));
        assert!(sent.is_err(), "nobody is there");
    }
}
