// SPDX-License-Identifier: Apache-2.0

/// The first bytes of an ELF file; without arguments, of a ppc64le kernel.
public func elfHeader(bits: UInt8 = 2, order: UInt8 = 1, machine: UInt8 = 21) -> [UInt8] {
    let ident: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, bits, order, 1] + Array(repeating: 0, count: 9)
    let words: [UInt8] = order == 1 ? [2, 0, machine, 0] : [0, 2, 0, machine]
    return ident + words + Array(repeating: 0, count: 44)
}
