"""Documents of the AWS blocks: plans, policies, alarms and rules as plain data. Pure: no pulumi, no boto3, no clock."""
