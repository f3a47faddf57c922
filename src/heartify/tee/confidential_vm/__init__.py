"""Confidential VMs (Intel TDX, AMD SEV-SNP): the guest's image and init, and the launcher that starts it by QEMU."""
