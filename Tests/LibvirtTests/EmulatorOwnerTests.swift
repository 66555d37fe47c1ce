// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Libvirt

@Suite struct EmulatorOwnerTests {
    private static func capabilities(label: String) -> String {
        """
        <capabilities><host><cpu><arch>x86_64</arch></cpu>
        <secmodel><model>none</model><doi>0</doi></secmodel>
        <secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+1:+2</baselabel>\(label)</secmodel>
        </host></capabilities>
        """
    }

    @Test func ownerIsTheBaseLabelOfQEMU() throws {
        let xml = Self.capabilities(label: "<baselabel type='qemu'>+64055:+108</baselabel>")
        let owner = try #require(Connection.emulatorOwner(capabilities: xml))
        #expect(owner.user == 64055 && owner.group == 108)
    }

    @Test(arguments: [
        "", "<baselabel type='qemu'>64055:108</baselabel>", "<baselabel type='qemu'>+1</baselabel>",
        "<baselabel type='qemu'>+-1:+2</baselabel>", "<baselabel type='qemu'>+4294967296:+2</baselabel>",
    ])
    func otherLabelsNameNoOwner(label: String) {
        #expect(Connection.emulatorOwner(capabilities: Self.capabilities(label: label)) == nil)
    }

    @Test(arguments: ["", "<capabilities/>", "<capabilities><host>"])
    func whatIsNoCapabilitiesNamesNoOwner(xml: String) {
        #expect(Connection.emulatorOwner(capabilities: xml) == nil)
    }
}
