// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
internal import Glibc
public import SystemPackage

/// A connection to libvirt (`virConnectPtr`); it closes when nothing refers to it, its domains included.
@safe public final class Connection: @unchecked Sendable {
    // Set once, used by libvirt functions that lock for themselves, released in deinit: safe to share.
    let pointer: OpaquePointer

    private init(owning pointer: OpaquePointer) {
        unsafe self.pointer = unsafe pointer
    }

    deinit {
        // This object's own reference; domains hold theirs.
        unsafe _ = virConnectClose(pointer)
    }

    /// Opens a connection, and starts libvirt in this process if that has not happened yet (`virConnectOpen`).
    ///
    /// - Parameter uri: libvirt's name for the hypervisor, such as `test:///default`; libvirt's own default if nil.
    /// - Returns: The open connection.
    /// - Throws: `LibvirtError` if libvirt refuses.
    public static func open(uri: String?) async throws -> Connection {
        try LibvirtRuntime.start()
        return try await blocking {
            unsafe Connection(owning: try check("virConnectOpen", virConnectOpen(uri)))
        }
    }

    /// Creates and starts a domain that libvirt forgets when it stops (`virDomainCreateXML`).
    ///
    /// - Parameter xml: The domain, such as ``DomainDescription/xml()`` gives it.
    /// - Returns: The domain, its guest running.
    /// - Throws: `LibvirtError` if the XML is refused or QEMU does not start.
    public func createTransient(xml: String) async throws -> Domain {
        try await blocking {
            let flags = VIR_DOMAIN_NONE.rawValue
            let domain = unsafe try check("virDomainCreateXML", virDomainCreateXML(self.pointer, xml, flags))
            return unsafe try Domain(owning: domain, connection: self)
        }
    }

    /// The domain of that name, or of that UUID (`virDomainLookupByName`, `virDomainLookupByUUIDString`).
    ///
    /// - Throws: `LibvirtError` if there is neither.
    public func domain(named name: String) async throws -> Domain {
        try await blocking {
            if let domain = unsafe virDomainLookupByUUIDString(self.pointer, name) {
                return unsafe try Domain(owning: domain, connection: self)
            }
            let domain = unsafe try check("virDomainLookupByName", virDomainLookupByName(self.pointer, name))
            return unsafe try Domain(owning: domain, connection: self)
        }
    }

    /// The URI that it is open with (`virConnectGetURI`).
    ///
    /// - Throws: `LibvirtError` if libvirt does not tell.
    public func uri() async throws -> String {
        try await blocking {
            let text = unsafe try check("virConnectGetURI", virConnectGetURI(self.pointer))
            // A C string that libvirt allocated for us.
            defer { unsafe free(text) }
            return unsafe String(cString: text)
        }
    }

    /// Has libvirt judge a domain, and each of some devices that are to be attached to it, and starts nothing.
    ///
    /// The domain is defined for that moment (`virDomainDefineXML`), and each device attached to its definition
    /// (`virDomainAttachDeviceFlags`): so libvirt completes the description as it does before it starts a domain, and
    /// holds a device against the whole of it. A description that names the device from the start is judged otherwise:
    /// there libvirt 11 would complete the device, too.
    ///
    /// - Throws: `LibvirtError` with what libvirt refuses.
    public func validate(domain xml: String, devices: [String]) async throws {
        try await blocking {
            let domain = unsafe try check("virDomainDefineXML", virDomainDefineXML(self.pointer, xml))
            defer {
                // Nothing else can have been done to it by then.
                unsafe _ = virDomainUndefine(domain)
                unsafe _ = virDomainFree(domain)
            }
            for device in devices {
                let flags = VIR_DOMAIN_AFFECT_CONFIG.rawValue
                unsafe try check(
                    "virDomainAttachDeviceFlags", virDomainAttachDeviceFlags(domain, device, flags))
                unsafe try check(
                    "virDomainDetachDeviceFlags", virDomainDetachDeviceFlags(domain, device, flags))
            }
        }
    }

    /// Has libvirt find out what the emulator for ppc64 can do, unless it knows (`virConnectGetDomainCapabilities`).
    ///
    /// - Parameter emulator: The emulator's path; libvirt chooses if nil.
    /// - Throws: `LibvirtError` if libvirt finds no such emulator.
    public func probe(emulator: FilePath?) async throws {
        try await blocking {
            let answer = unsafe try check(
                "virConnectGetDomainCapabilities",
                virConnectGetDomainCapabilities(self.pointer, emulator?.string, "ppc64", "pseries", "qemu", 0)
            )
            // A C string that libvirt allocated for us; that it could be made is all that is needed.
            unsafe free(answer)
        }
    }

    /// The version of the libvirt library in this process (`virGetVersion`).
    ///
    /// - Throws: `LibvirtError` if libvirt does not tell.
    public static func libraryVersion() throws -> Version {
        var number: UInt = 0
        // Without a driver's name the other arguments are unused.
        unsafe try check("virGetVersion", virGetVersion(&number, nil, nil))
        return Version(packed: number)
    }
}

/// A version as libvirt counts: major, minor, micro.
public struct Version: Equatable, Sendable, CustomStringConvertible {
    /// The first number.
    public let major: Int
    /// The second number.
    public let minor: Int
    /// The third number.
    public let micro: Int

    /// From libvirt's single number, major × 1,000,000 + minor × 1,000 + micro.
    init(packed: UInt) {
        major = Int(packed / 1_000_000)
        minor = Int(packed / 1_000 % 1_000)
        micro = Int(packed % 1_000)
    }

    /// The three numbers with dots between them.
    public var description: String { "\(major).\(minor).\(micro)" }
}
