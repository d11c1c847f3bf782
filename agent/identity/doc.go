// Package identity is who the agent is and whom it trusts: the key made on the
// device, its certificate, the bundle of roots and job keys, and what enrollment
// granted.
//
// Everything lies in one small directory (0700) of files (0600), each replaced
// as a whole: written beside, synced, renamed. Key and certificate are one file,
// so that they always fit. On Windows the mode means nothing: the directory's
// inherited access list, which the installer narrows to SYSTEM and the
// administrators, protects it. Vault is the seam for DPAPI and keychain.
package identity
