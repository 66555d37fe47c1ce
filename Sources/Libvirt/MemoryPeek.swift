// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt

extension Domain {
    /// The most that one peek may ask for, in bytes (`REMOTE_DOMAIN_MEMORY_PEEK_BUFFER_MAX`, remote_protocol.x).
    public static let peekByteLimit = 4 << 20

    /// Reads a running guest's memory through its hypervisor (`virDomainMemoryPeek`). The call blocks.
    ///
    /// - Parameters:
    ///   - address: a guest physical address.
    ///   - byteCount: how many bytes, ``peekByteLimit`` at most.
    /// - Returns: the bytes.
    /// - Throws: `LibvirtError` if the domain is gone, or its driver reads no memory.
    public func peek(at address: UInt64, byteCount: Int) throws(LibvirtError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        // libvirt writes no more than the buffer holds.
        let result = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe virDomainMemoryPeek(
                pointer, address, buffer.count, buffer.baseAddress, VIR_MEMORY_PHYSICAL.rawValue)
        }
        try check("virDomainMemoryPeek", result)
        return bytes
    }
}
