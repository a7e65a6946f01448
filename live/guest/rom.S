# migtwin's test guest: a 64 KiB ROM that needs no operating system.
#
# It goes from the reset vector through real mode to 64-bit mode with identity pages of 2 MiB, fills its
# memory, and then writes pages of some working sets, each at a rate kept by the time-stamp counter. Between
# writes it halts until the next tick (1 kHz), so that it takes little of the host's processor.
#
# Built by GNU `as` and `ld --oformat binary -Ttext 0xf0000` (see live/src/qemu/rom.rs, which also gives
# the layout of its memory; the two are held together by live/tests/qemu_guest.rs).
#
# Memory:
#   0x6000  what the host asks for, put there by QEMU's `-device loader` before the start:
#           +0 pages to fill, +8 words of a page that do not compress (2..511), +16 working sets (0..8),
#           +24 ticks that a set may lag behind before it gives up what it has missed, +32 how far apart in
#           memory the pages lie that follow each other in a set of pattern 1 (live/src/scatter.rs)
#   0x6100  what the guest says: +0 state (1 fills, 2 runs, 0xdead00nn an exception), +8 time-stamp counter
#   0x6200  working sets, 64 bytes each: +0 first page, +8 pages, +16 ticks from write to write,
#           +24 pattern (0 sweep, 1 anywhere), +32 writes done, +40 when the next is due
#   0x10000 page tables, 0x16000 interrupts, 0x200000 the pages
#
# A page: word 0 and word 511 hold the number of the last write to it, from 1, or 0; word 1 its own number.
# A write sets word 0, then word 511, then the set's count. So whoever knows the counts knows every page.

        .equ BASE,    0xf0000
        .equ PARAMS,  0x6000
        .equ STATE,   0x6100
        .equ SETS,    0x6200
        .equ TABLES,  0x10000
        .equ IDT,     0x16000
        .equ PAGES,   0x200000

        .text
        .code16
rom:
start16:
        cli
        cld
        lgdtl   %cs:(gdt_pointer - rom)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $(BASE + start32 - rom)

        .code32
start32:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x9000, %esp
        # Page tables: one PML4 entry, four directories, 2048 pages of 2 MiB: 4 GiB seen as they are.
        movl    $TABLES, %edi
        xorl    %eax, %eax
        movl    $(0x6000 / 4), %ecx
        rep stosl
        movl    $(TABLES + 0x1003), TABLES
        movl    $(TABLES + 0x1000), %edi
        movl    $(TABLES + 0x2003), %eax
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $0x1000, %eax
        addl    $8, %edi
        loop    1b
        movl    $(TABLES + 0x2000), %edi
        movl    $0x83, %eax
        movl    $2048, %ecx
2:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    2b
        # PAE, long mode, paging.
        movl    $TABLES, %eax
        movl    %eax, %cr3
        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $0x18, $(BASE + start64 - rom)

        .code64
start64:
        movq    $0x9000, %rsp
        # Interrupt table: 32 exceptions, then 224 interrupts, each an entry of 16 bytes.
        movq    $IDT, %rdi
        movq    $(BASE + exceptions - rom), %rsi
        xorq    %rcx, %rcx
3:      movq    %rsi, %rax
        movw    %ax, (%rdi)
        movw    $0x18, 2(%rdi)
        movw    $0x8e00, 4(%rdi)
        shrq    $16, %rax
        movw    %ax, 6(%rdi)
        movq    $0, 8(%rdi)
        addq    $16, %rdi
        incq    %rcx
        cmpq    $32, %rcx
        jb      4f
        movq    $(BASE + interrupt - rom), %rsi
        jmp     5f
4:      addq    $(exceptions_next - exceptions), %rsi
5:      cmpq    $256, %rcx
        jb      3b
        lidt    idt_pointer - rom + BASE
        # Interrupt controllers to vectors 0x20 and 0x28, only the timer let through.
        movb    $0x11, %al
        outb    %al, $0x20
        outb    %al, $0xa0
        movb    $0x20, %al
        outb    %al, $0x21
        movb    $0x28, %al
        outb    %al, $0xa1
        movb    $4, %al
        outb    %al, $0x21
        movb    $2, %al
        outb    %al, $0xa1
        movb    $1, %al
        outb    %al, $0x21
        outb    %al, $0xa1
        movb    $0xfe, %al
        outb    %al, $0x21
        movb    $0xff, %al
        outb    %al, $0xa1
        # The local APIC passes the interrupt controller through: enabled, LINT0 as ExtINT.
        movl    $0xfee00000, %edi
        movl    $0x1ff, 0xf0(%rdi)
        movl    $0x700, 0x350(%rdi)
        # The timer: 1193182 Hz / 1193.
        movb    $0x34, %al
        outb    %al, $0x43
        movb    $(1193 & 255), %al
        outb    %al, $0x40
        movb    $(1193 >> 8), %al
        outb    %al, $0x40

        # Fill the pages.
        movq    $1, STATE
        movq    $PAGES, %rdi
        movabsq $0x9e3779b97f4a7c15, %r10
        movq    PARAMS + 8, %r9
        xorq    %rbx, %rbx
6:      cmpq    PARAMS, %rbx
        jae     9f
        movq    $0, (%rdi)
        movq    %rbx, 8(%rdi)
        movq    $2, %rcx
7:      cmpq    %r9, %rcx
        jae     8f
        movq    %rbx, %rax
        shlq    $9, %rax
        orq     %rcx, %rax
        imulq   %r10, %rax
        movq    %rax, %rdx
        shrq    $29, %rdx
        xorq    %rdx, %rax
        imulq   %r10, %rax
        movq    %rax, (%rdi, %rcx, 8)
        incq    %rcx
        cmpq    $511, %rcx
        jb      7b
8:      cmpq    $511, %rcx
        jae     10f
        movq    %rbx, (%rdi, %rcx, 8)
        incq    %rcx
        jmp     8b
10:     movq    $0, 4088(%rdi)
        addq    $4096, %rdi
        incq    %rbx
        jmp     6b

        # Every set is due now.
9:      rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        movq    %rax, STATE + 8
        movq    $SETS, %rsi
        movq    $8, %rcx
11:     movq    %rax, 40(%rsi)
        addq    $64, %rsi
        loop    11b
        movq    $2, STATE
        sti

        # Round after round over the sets, each of which writes what is due; then wait for a tick.
main:
        hlt
        rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        movq    %rax, STATE + 8
        movq    $SETS, %rsi
        movq    PARAMS + 16, %r12
12:     testq   %r12, %r12
        jz      main
        decq    %r12
        call    write_due
        addq    $64, %rsi
        jmp     12b

        # Writes what is due of the set at %rsi.
write_due:
        cmpq    $0, 16(%rsi)
        je      15f
13:     rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        movq    %rax, %rbp
        subq    40(%rsi), %rax
        js      15f
        cmpq    PARAMS + 24, %rax
        jbe     14f
        # Too far behind, after a pause or where the host holds the guest back: what is missed is missed.
        movq    %rbp, 40(%rsi)
14:     movq    16(%rsi), %rax
        addq    %rax, 40(%rsi)
        movq    32(%rsi), %rbx
        # Forget translations, so that this write is seen as one to a clean page; see rom.rs.
        movq    %cr3, %rax
        movq    %rax, %cr3
        # Which page: the number of the write modulo the pages, or spread over them by a hash.
        cmpq    $0, 24(%rsi)
        jne     16f
        movq    %rbx, %rax
        xorq    %rdx, %rdx
        divq    8(%rsi)
        jmp     17f
16:     movq    %rbx, %rax
        incq    %rax
        imulq   %r10, %rax
        movq    %rax, %rdx
        shrq    $29, %rdx
        xorq    %rdx, %rax
        imulq   %r10, %rax
        mulq    8(%rsi)
        # Such a set lies scattered over all pages.
        addq    (%rsi), %rdx
        movq    %rdx, %rax
        mulq    PARAMS + 32
        divq    PARAMS
        jmp     19f
17:     addq    (%rsi), %rdx
19:     shlq    $12, %rdx
        addq    $PAGES, %rdx
        incq    %rbx
        movq    %rbx, (%rdx)
        movq    %rbx, 4088(%rdx)
        movq    %rbx, 32(%rsi)
        jmp     13b
15:     ret

        # An exception says which it was and ends the guest.
exceptions:
        movl    $0, %eax
        jmp     exception
        .balign 16
exceptions_next:
        .set    vector, 1
        .rept   31
        movl    $vector, %eax
        jmp     exception
        .balign 16
        .set    vector, vector + 1
        .endr
exception:
        orl     $0xdead0000, %eax
        movq    %rax, STATE
18:     cli
        hlt
        jmp     18b

interrupt:
        pushq   %rax
        movb    $0x20, %al
        outb    %al, $0x20
        popq    %rax
        iretq

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9a000000ffff
        .quad   0x00cf92000000ffff
        .quad   0x00af9a000000ffff
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   BASE + gdt - rom
idt_pointer:
        .word   4095
        .quad   IDT

        .org    0xfff0
        .code16
        ljmp    $0xf000, $(start16 - rom)
        .org    0x10000
