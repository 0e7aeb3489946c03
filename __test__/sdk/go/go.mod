module sluicegate.test/sdk

go 1.18

require github.com/mixpanel/mixpanel-go v1.2.1
