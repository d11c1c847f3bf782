// Package inventory says what a machine is.
package inventory
