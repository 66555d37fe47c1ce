// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt

/// What libvirt said when one of its functions failed.
public struct LibvirtError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A `virErrorNumber`: what went wrong.
    public let code: Int32
    /// A `virErrorDomain`: the part of libvirt that says so.
    public let domain: Int32
    /// libvirt's own words.
    public let message: String
    /// The C function that failed.
    public let call: String

    /// What was called and what libvirt answered.
    public var description: String { "\(call) failed: \(message)" }

    /// The error that the calling thread's last libvirt call left behind (`virGetLastError`).
    ///
    /// The error is thread-local: read it in the same synchronous stretch of code as the call itself.
    static func last(_ call: String) -> LibvirtError {
        // The pointer is the thread's own error object; nothing else runs on this thread before it is copied.
        guard let error = unsafe virGetLastError() else {
            return LibvirtError(code: 0, domain: 0, message: "libvirt gave no reason", call: call)
        }
        let raw = unsafe error.pointee
        let message = unsafe raw.message.map { unsafe String(cString: $0) } ?? "libvirt gave no reason"
        return unsafe LibvirtError(code: raw.code, domain: raw.domain, message: message, call: call)
    }
}

/// Returns the pointer that a libvirt function gave, or throws what libvirt said when it gave none.
func check<Pointer>(_ call: String, _ result: Pointer?) throws(LibvirtError) -> Pointer {
    guard let result else { throw LibvirtError.last(call) }
    return result
}

/// Returns a libvirt function's non-negative result, or throws what libvirt said when it is negative.
@discardableResult
func check(_ call: String, _ result: Int32) throws(LibvirtError) -> Int32 {
    guard result >= 0 else { throw LibvirtError.last(call) }
    return result
}
